-- What wrk sends to a tracker: a form with BATCH events in base64, as client libraries send them. With CLOSE, on a
-- connection of its own.
wrk.method = "POST"
wrk.path = "/track"
wrk.body = io.open(os.getenv("BODY")):read("*a")
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
if os.getenv("CLOSE") then wrk.headers["Connection"] = "close" end
