//! A file of credentials, as `nsc` writes it: servers that trust an operator, an account that the operator signed,
//! and a user whom the account signed.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use nkeys::KeyPair;
use serde_json::{Value, json};
use windhover_conformance::{
    NatsCluster, NatsVersion, Runtime, Setup, TempDir, eventually, full_binary,
};

use crate::{SOON, event, forwarded, track, tracker};

/// An operator with one account.
struct Trust {
    operator: KeyPair,
    account: KeyPair,
    /// `JetStream` asks for an account of the servers' own.
    system: KeyPair,
}

impl Trust {
    fn new() -> Self {
        Self {
            operator: KeyPair::new_operator(),
            account: KeyPair::new_account(),
            system: KeyPair::new_account(),
        }
    }

    /// What the servers' configuration needs to know of it.
    fn configuration(&self) -> String {
        let operator = claims(&self.operator, &self.operator, json!({ "type": "operator" }));
        let (account, system) = (self.account.public_key(), self.system.public_key());
        let limits = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1,
            "leaf": -1, "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
        });
        let mut ours = json!({ "type": "account", "limits": limits });
        let one = claims(&self.operator, &self.account, ours.clone());
        // No streams there: the servers refuse a system account that may have them.
        for limit in ["mem_storage", "disk_storage", "streams", "consumer"] {
            ours["limits"][limit] = json!(0);
        }
        let other = claims(&self.operator, &self.system, ours);
        format!(
            "operator: {operator}\nsystem_account: {system}\nresolver: MEMORY\n\
             resolver_preload: {{ {account}: {one}, {system}: {other} }}\n"
        )
    }
}

/// The text of a file of credentials for a new user of the account whose key `signer` is.
fn credentials(signer: &KeyPair) -> String {
    let user = KeyPair::new_user();
    let limits = json!({ "type": "user", "subs": -1, "data": -1, "payload": -1 });
    let token = claims(signer, &user, limits);
    let seed = user.seed().unwrap();
    format!(
        "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
}

/// A token of NATS: what `issuer` says of `subject`, signed.
fn claims(issuer: &KeyPair, subject: &KeyPair, mut says: Value) -> String {
    says["version"] = json!(2);
    let said = json!({
        "jti": subject.public_key(), "iat": 1_700_000_000, "iss": issuer.public_key(), "name": "windhover",
        "sub": subject.public_key(), "nats": says,
    });
    let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let head = encode(r#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let signed = format!("{head}.{}", encode(&said.to_string()));
    let signature = issuer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn a_file_of_credentials_lets_in_whom_the_account_signed_and_nobody_else() {
    let (trust, files) = (Trust::new(), TempDir::new("nats-credentials"));
    let written = |name: &str, text: &str| {
        let path = files.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let right = written("right.creds", &credentials(&trust.account));
    let foreign = written("foreign.creds", &credentials(&KeyPair::new_account()));
    let empty = written("empty.creds", "");
    let missing = files.path().join("missing.creds").display().to_string();
    for version in [NatsVersion::Debian, NatsVersion::Newest] {
        let servers = NatsCluster::start(version, 1, &trust.configuration());
        let address = servers.addresses()[0];
        let data = TempDir::new("jetstream-credentials");
        let url = |file: &str| format!("nats://{address}/app?creds={file}");
        for file in [&empty, &missing] {
            let setup = Setup::new(data.path()).program(full_binary()).flag("--queue", &url(file));
            let outcome = setup.refused();
            assert!(outcome.expect_code(1).stderr.contains(file.as_str()), "{outcome:#?}");
        }

        let tracker_with = |file| tracker(&data, Runtime::Mio, &url(file));
        let tracker = tracker_with(&foreign);
        assert!(track(&mut tracker.http_client(), &event("1", &json!({}))));
        let told = "authorization violation";
        eventually("the log says why", SOON, || tracker.log().contains(told).then_some(()));
        assert_eq!(forwarded(&tracker), 0, "nothing goes on");
        tracker.stop();

        let tracker = tracker_with(&right);
        eventually("all of it has gone on", SOON, || (forwarded(&tracker) == 1).then_some(()));
        tracker.stop();
    }
}
