//! What `windhover journal` says, word for word.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use windhover_core::queue::record::Draft;
use windhover_core::queue::segment::Header;
use windhover_core::queue::{Action, Config, Fsync};
use windhover_server::journal::OsDirectory;

use crate::journaled::Journaled;

struct Data(PathBuf);

impl Drop for Data {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A data directory with a journal of two segments, stopped in order or killed.
fn data(name: &str, clean: bool) -> Data {
    let path = std::env::temp_dir().join(format!("windhover-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir(&path).unwrap();
    let directory = OsDirectory::create(&path.join("journal")).unwrap();
    let mut journaled = Journaled::open(&directory, Fsync::Always, 300, Config::default()).unwrap();
    for n in 0..3 {
        assert!(journaled.put(&format!("item {n} {}", "x".repeat(50))));
    }
    assert!(journaled.get(1, Action::Take).is_some());
    assert!(journaled.put_on(b"other", "the last"));
    if clean {
        journaled.close();
    }
    Data(path)
}

/// Exit code and output.
fn run(data: &Path, command: &[&str]) -> (Option<i32>, String) {
    let mut windhover = Command::new(env!("CARGO_BIN_EXE_windhover"));
    windhover.arg("journal").args(command).arg("--data").arg(data).env("RUST_LOG", "error");
    let output = windhover.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let root = format!("{}/", data.display());
    (output.status.code(), String::from_utf8(said).unwrap().replace(&root, "DATA/"))
}

fn segment(data: &Data, number: u64) -> PathBuf {
    data.0.join(format!("journal/{number:020}.log"))
}

#[test]
fn a_whole_journal_is_shown_and_called_whole() {
    let data = data("whole", true);
    let verified = "\
segments     2
records      7
queues       2
items        3
spare files  0
last stop    clean
the journal is whole
";
    assert_eq!(run(&data.0, &["verify"]), (Some(0), verified.to_owned()));
    let segments = "\
oldest needed\t1
clean stop at\t2:288
synced up to\t2:288
spare files\t0
segment\tbytes\tend\tcreated\trecords\tputs\titems\tgone\tdamages
1\t304\t304\t1000000\t3\t2\t2\t0\t0
2\t288\t288\t1000000\t4\t2\t2\t1\t0
";
    assert_eq!(run(&data.0, &["inspect"]), (Some(0), segments.to_owned()));
    let records = "\
offset\tbytes\tkind\tid\tqueue\titems
64\t106\tput\t3\tq\t1
170\t28\tsynced\t170\t-\t-
198\t29\tremove\t1\tq\t-
227\t61\tput\t4\tother\t1
";
    assert_eq!(run(&data.0, &["inspect", "2"]), (Some(0), records.to_owned()));
    let none = "windhover: the journal has no segment 9; `inspect` without a number lists them\n";
    assert_eq!(run(&data.0, &["inspect", "9"]), (Some(1), none.to_owned()));
}

#[test]
fn damage_is_shown_and_called_damage_and_nothing_is_changed() {
    let data = data("damaged", false);
    let mut bytes = fs::read(segment(&data, 1)).unwrap();
    bytes[100] ^= 1;
    fs::write(segment(&data, 1), &bytes).unwrap();
    fs::write(data.0.join("journal/notes.txt"), "").unwrap();
    let verified = "\
segments     2
records      6
queues       2
items        3
spare files  0
last stop    not clean
foreign      notes.txt
fault        00000000000000000001.log: bytes 64 to 170: the checksum of a record's body does not fit; \
2 whole records stand behind the damage
the journal is damaged
";
    for _ in 0..2 {
        assert_eq!(run(&data.0, &["verify"]), (Some(3), verified.to_owned()));
    }
    let records = "\
offset\tbytes\tkind\tid\tqueue\titems
64\t106\tdamage\t-\t-\tthe checksum of a record's body does not fit
170\t28\tsynced\t170\t-\t-
198\t106\tput\t2\tq\t1
";
    assert_eq!(run(&data.0, &["inspect", "1"]), (Some(0), records.to_owned()));
    assert_eq!(fs::read(segment(&data, 1)).unwrap(), bytes);
}

#[test]
fn an_unfinished_write_is_no_damage() {
    let data = data("torn", false);
    let mut bytes = fs::read(segment(&data, 2)).unwrap();
    assert_eq!(bytes[288..], [0; 12], "zeros are written ahead, as far as a segment goes");
    let record = Draft::remove(1, "queue".into()).encode(Header::decode(&bytes).unwrap().salt, 288);
    bytes.splice(288.., record[..32].iter().copied());
    fs::write(segment(&data, 2), bytes).unwrap();
    let verified = "\
segments     2
records      7
queues       2
items        3
spare files  0
last stop    not clean
unfinished   00000000000000000002.log: bytes 288 to 320: the file ends before the record does; \
the next start cuts it
the journal is whole
";
    assert_eq!(run(&data.0, &["verify"]), (Some(0), verified.to_owned()));
}

#[test]
fn another_format_is_refused_by_its_number() {
    let data = data("format", true);
    let mut bytes = fs::read(segment(&data, 1)).unwrap();
    bytes[7] = 2;
    let sum = crc32fast::hash(&bytes[..60]);
    bytes[60..64].copy_from_slice(&sum.to_le_bytes());
    fs::write(segment(&data, 1), bytes).unwrap();
    let refused = "\
windhover: DATA/journal/00000000000000000001.log: the segment is of format 2; this program reads \
format 4: written by another version of windhover; run that version, nothing was changed
";
    assert_eq!(run(&data.0, &["verify"]), (Some(1), refused.to_owned()));
    assert_eq!(run(&data.0, &["inspect"]), (Some(1), refused.to_owned()));
}

#[test]
fn where_there_is_no_journal_none_is_made() {
    let path = std::env::temp_dir().join(format!("windhover-none-{}", std::process::id()));
    let none = "windhover: cannot use DATA/journal: there is no journal\n";
    assert_eq!(run(&path, &["verify"]), (Some(1), none.to_owned()));
    assert_eq!(run(&path, &["inspect"]), (Some(1), none.to_owned()));
    assert!(!path.exists());
}

#[test]
fn what_is_no_file_under_the_name_of_one_of_the_journals_makes_way() {
    for name in ["state", "synced"] {
        for kind in ["folder", "pipe", "link to nowhere"] {
            let data = data("in-the-way", false);
            let path = data.0.join("journal").join(name);
            fs::remove_file(&path).unwrap();
            match kind {
                "folder" => fs::create_dir(&path).unwrap(),
                "pipe" => assert!(Command::new("mkfifo").arg(&path).status().unwrap().success()),
                _ => std::os::unix::fs::symlink("/nowhere/at/all", &path).unwrap(),
            }
            let mut repair = Command::new(env!("CARGO_BIN_EXE_windhover"));
            repair.arg("repair").arg("--data").arg(&data.0);
            assert!(repair.output().unwrap().status.success(), "a {kind} as {name}");
            let directory = OsDirectory::existing(&data.0.join("journal")).unwrap();
            let mut journaled =
                Journaled::open(&directory, Fsync::Always, 300, Config::default()).unwrap();
            assert_eq!(journaled.drain().len(), 2, "a {kind} as {name}");
            drop(journaled);
            assert!(path.is_file(), "a {kind} as {name}");
            let moved = path.with_file_name(format!("{name}.foreign-1"));
            assert!(fs::symlink_metadata(moved).is_ok(), "a {kind} as {name}");
        }
    }
}
