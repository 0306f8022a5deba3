"""What is done in a bucket behind the back of its users, and moto, which has it.

usage: bucket.py serve                        serves on a free port of 127.0.0.1, and prints its URL
       bucket.py URL make BUCKET
       bucket.py URL list BUCKET              prints the keys
       bucket.py URL flip|cut|delete BUCKET KEY
"""

import os
import sys


def serve():
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    print(f"http://{host}:{port}", flush=True)
    # Ends with whoever started it.
    sys.stdin.read()
    os._exit(0)


def main():
    if sys.argv[1:] == ["serve"]:
        serve()
    import boto3

    url, action, bucket, *rest = sys.argv[1:]
    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="access",
        aws_secret_access_key="secret",
    )
    if action == "make":
        client.create_bucket(Bucket=bucket)
    elif action == "list":
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        print(*(item["Key"] for page in pages for item in page.get("Contents", ())), sep="\n")
    elif action == "delete":
        client.delete_object(Bucket=bucket, Key=rest[0])
    else:
        content = client.get_object(Bucket=bucket, Key=rest[0])["Body"].read()
        middle = len(content) // 2
        if action == "flip":
            content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        else:
            content = content[:middle]
        client.put_object(Bucket=bucket, Key=rest[0], Body=content)


main()
