//! The format of the files; `vectors/README.md` describes it.

use super::{Player, Protocol, ServerKind, Step, Template, Then, Vector, Versions};

/// The vectors of a file.
///
/// # Errors
/// A sentence that begins with the line's number.
pub(super) fn parse(name: &str, text: &str) -> Result<Vec<Vector>, String> {
    let mut protocol = Protocol::Memcached;
    let mut vectors: Vec<Draft> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line_number = at + 1;
        if let Some(title) = line.strip_prefix("== ") {
            if vectors.iter().any(|other| other.vector.name == title) {
                return Err(format!("{line_number}: there is another `{title}`"));
            }
            vectors.push(Draft::new(name, title, line_number, protocol));
        } else if line.is_empty() || line.starts_with('#') {
        } else if let Some(draft) = vectors.last_mut() {
            draft.take(line).map_err(|error| format!("{line_number}: {error}"))?;
        } else if line == "protocol: kestrel" {
            protocol = Protocol::Kestrel;
        } else {
            return Err(format!("{line_number}: expected a comment or `== name`, got `{line}`"));
        }
    }
    vectors.into_iter().map(Draft::finish).collect()
}

struct Draft {
    vector: Vector,
    then: Option<Then>,
    answered: bool,
}

impl Draft {
    fn new(file: &str, name: &str, line: usize, protocol: Protocol) -> Self {
        let vector = Vector {
            file: file.to_owned(),
            line,
            name: name.to_owned(),
            protocol,
            source: String::new(),
            seen: None,
            versions: None,
            server: ServerKind::Shared,
            only: None,
            given: Template::default(),
            steps: Vec::new(),
            then: Then::Open,
        };
        Self { vector, then: None, answered: false }
    }

    fn take(&mut self, line: &str) -> Result<(), String> {
        if self.then.is_some() {
            return Err("`then:` is the last line of a vector".to_owned());
        }
        if let Some(rest) = line.strip_prefix("given>") {
            self.vector.given.extend(bytes(rest)?);
        } else if let Some(rest) = line.strip_prefix('>') {
            if self.answered || self.vector.steps.is_empty() {
                self.answered = false;
                let step = Step { send: Template::default(), expect: Template::default() };
                self.vector.steps.push(step);
            }
            if let Some(step) = self.vector.steps.last_mut() {
                step.send.extend(bytes(rest)?);
            }
        } else if let Some(rest) = line.strip_prefix('<') {
            let step = self.vector.steps.last_mut().ok_or("an answer before a request")?;
            step.expect.extend(bytes(rest)?);
            self.answered = true;
        } else {
            let (field, value) =
                line.split_once(": ").ok_or_else(|| format!("`{line}` is no line of a vector"))?;
            self.field(field, value)?;
        }
        Ok(())
    }

    fn field(&mut self, field: &str, value: &str) -> Result<(), String> {
        let vector = &mut self.vector;
        match field {
            "source" => value.clone_into(&mut vector.source),
            "seen" => vector.seen = Some(value.to_owned()),
            "versions" => {
                let versions = Versions::parse(value);
                vector.versions =
                    Some(versions.ok_or("`versions:` wants `up to 1.2.3` or `from 1.2.3`")?);
            }
            "server" => {
                vector.server = match value {
                    "its own" => ServerKind::Own,
                    "shutdown" => ServerKind::Shutdown,
                    "authentication" => ServerKind::Authentication,
                    _ => return Err(format!("`{value}` is no kind of server")),
                };
            }
            "only" => {
                let (players, reason) =
                    value.split_once("; ").ok_or("`only:` wants players, `; ` and a reason")?;
                let players = players.split(", ").map(player).collect::<Result<_, _>>()?;
                vector.only = Some((players, reason.to_owned()));
            }
            "then" => {
                self.then = Some(match value {
                    "open" => Then::Open,
                    "closed" => Then::Closed,
                    "streaming" => Then::Streaming,
                    _ => return Err(format!("`{value}` is no state of a connection")),
                });
            }
            _ => return Err(format!("`{field}` is no field")),
        }
        Ok(())
    }

    fn finish(self) -> Result<Vector, String> {
        let Self { mut vector, then, .. } = self;
        let missing = |what: &str| format!("{}: `{}` has no {what}", vector.line, vector.name);
        if vector.source.is_empty() {
            return Err(missing("`source:`"));
        }
        if vector.steps.is_empty() {
            return Err(missing("`>`"));
        }
        let then = then.ok_or_else(|| missing("`then:`"))?;
        vector.then = then;
        Ok(vector)
    }
}

fn player(name: &str) -> Result<Player, String> {
    [Player::Codec, Player::Cache, Player::Queue, Player::Memcached]
        .into_iter()
        .find(|player| player.name() == name)
        .ok_or_else(|| format!("`{name}` plays no vectors"))
}

/// What stands behind `>`, `<` or `given>`.
fn bytes(rest: &str) -> Result<Template, String> {
    let text = |rest: &str| Template::parse(rest.strip_prefix(' ').unwrap_or(rest));
    if let Some(rest) = rest.strip_prefix('|') {
        return text(rest);
    }
    let mut line = text(rest)?;
    // Any number of lines has its own line ends.
    if rest != " {*}" {
        line.extend(Template::parse("\\r\\n")?);
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::super::Captures;
    use super::*;

    const FILE: &str = "# About gets.\n\n== a hit\nsource: protocol.txt, Retrieval command\n\
        given> set k 0 0 1\ngiven> a\n> gets k\n< VALUE k 0 1 {a}\n< a\n< END\n\
        > cas k 0 0 1 {a}\n>| b\\r\n>| \\n\n< STORED\nthen: open\n";

    #[test]
    fn a_vector_is_read() {
        let vectors = parse("some", FILE).unwrap();
        let [vector] = vectors.as_slice() else { panic!("{vectors:?}") };
        assert_eq!((vector.name.as_str(), vector.line, vector.then), ("a hit", 3, Then::Open));
        assert_eq!(vector.given.bytes(&Captures::new()).unwrap(), b"set k 0 0 1\r\na\r\n");
        assert_eq!(vector.steps.len(), 2);
        let captures = Captures::from([("a".to_owned(), 9)]);
        assert_eq!(vector.steps[1].send.bytes(&captures).unwrap(), b"cas k 0 0 1 9\r\nb\r\n");
    }

    #[test]
    fn faults_are_named() {
        let fault = |text: &str| parse("some", text).unwrap_err();
        assert_eq!(fault("then: open\n"), "1: expected a comment or `== name`, got `then: open`");
        assert_eq!(fault("== a\n> x\nthen: open\n"), "1: `a` has no `source:`");
        assert_eq!(fault("== a\nsource: s\n> x\n"), "1: `a` has no `then:`");
        assert_eq!(fault("== a\nsource: s\nthen: open\n"), "1: `a` has no `>`");
        assert_eq!(fault("== a\n== a\n"), "2: there is another `a`");
        assert_eq!(fault("== a\n> {\n"), "2: a `{` has no `}`: write `\\{` for the byte");
        assert_eq!(fault("== a\nwhat: x\n"), "2: `what` is no field");
        let versions = "2: `versions:` wants `up to 1.2.3` or `from 1.2.3`";
        assert_eq!(fault("== a\nversions: 1.6.18\n"), versions);
    }

    #[test]
    fn a_vector_is_true_of_versions() {
        let with = |versions| FILE.replace("source", &format!("versions: {versions}\nsource"));
        let is_true_of = |versions, of: &[u32]| {
            let vectors = parse("some", &with(versions)).unwrap();
            assert_eq!(vectors[0].versions.as_ref().unwrap().to_string(), versions);
            vectors[0].is_true_of(of)
        };
        let (old, between, new) = ([1, 6, 18], [1, 6, 30], [1, 6, 45]);
        for (versions, expected) in
            [("up to 1.6.18", [true, false, false]), ("from 1.6.45", [false, false, true])]
        {
            assert_eq!([old, between, new].map(|of| is_true_of(versions, &of)), expected);
        }
        assert!(parse("some", FILE).unwrap()[0].is_true_of(&between));
        let is_for = |versions| {
            [Player::Codec, Player::Cache, Player::Memcached]
                .map(|player| parse("some", &with(versions)).unwrap()[0].is_for(player))
        };
        assert_eq!(is_for("up to 1.6.18"), [false, false, true]);
        assert_eq!(is_for("from 1.6.45"), [true, true, true]);
    }
}
