//! Machines on a network of their own, which can be cut.

use std::{
    io::{BufRead as _, BufReader},
    net::{IpAddr, Ipv4Addr},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use crate::process::run;

/// Network namespaces on a bridge: each is one machine, and we are another one. Needs root, and Debian's package
/// `iproute2`. They go when the test ends, however it ends: each is held by a process that waits on a pipe, and a
/// bridge that was left behind is replaced.
#[derive(Debug)]
pub struct Network {
    holders: Vec<Child>,
    bridge: String,
    subnet: [u8; 3],
}

impl Network {
    /// So many machines.
    #[track_caller]
    pub fn of(count: usize) -> Self {
        static COUNT: AtomicU8 = AtomicU8::new(0);
        // Networks of other processes at the same time are others.
        let process = std::process::id().to_le_bytes();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let subnet = [10, 128 | process[1] & 0x7f, process[0].wrapping_add(number)];
        let bridge = format!("wh{:02x}{:02x}", subnet[1], subnet[2]);
        let mut network = Self { holders: Vec::new(), bridge, subnet };
        let bridge = network.bridge.clone();
        let _ = quietly(&["link", "del", &bridge]);
        ip(&["link", "add", &bridge, "type", "bridge"]);
        ip(&["addr", "add", &format!("{}/24", network.host(1)), "dev", &bridge]);
        ip(&["link", "set", &bridge, "up"]);
        for machine in 0..count {
            network.add(machine);
        }
        network
    }

    fn add(&mut self, machine: usize) {
        let mut holder = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo made && read -r _"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run `unshare` (Debian's util-linux): {error}"));
        let mut line = String::new();
        let stdout = holder.stdout.take().expect("stdout is piped");
        let _ = BufReader::new(stdout).read_line(&mut line);
        assert_eq!(line, "made\n", "no network namespace: run the tests as root");
        let (pid, cable) = (holder.id().to_string(), self.cable(machine));
        self.holders.push(holder);
        let _ = quietly(&["link", "del", &cable]);
        ip(&["link", "add", &cable, "type", "veth", "peer", "name", "eth0", "netns", &pid]);
        ip(&["link", "set", &cable, "master", &self.bridge, "up"]);
        let address = format!("{}/24", self.address(machine));
        for line in [["addr", "add", &address, "dev", "eth0"], ["link", "set", "eth0", "up", ""]] {
            self.within(machine, &line);
        }
        self.within(machine, &["link", "set", "lo", "up"]);
    }

    fn within(&self, machine: usize, arguments: &[&str]) {
        let enter = self.enter(machine);
        let mut command = Command::new(&enter[0]);
        command.args(&enter[1..]).arg("ip");
        command.args(arguments.iter().filter(|argument| !argument.is_empty()));
        run(&mut command, Duration::from_secs(20)).expect_code(0);
    }

    fn host(&self, number: u8) -> Ipv4Addr {
        let [a, b, c] = self.subnet;
        Ipv4Addr::new(a, b, c, number)
    }

    fn cable(&self, machine: usize) -> String {
        format!("{}m{machine}", self.bridge)
    }

    /// A machine's address.
    pub fn address(&self, machine: usize) -> IpAddr {
        IpAddr::V4(self.host(10 + u8::try_from(machine).expect("there are few")))
    }

    /// What to put in front of a command so that it runs on that machine.
    pub fn enter(&self, machine: usize) -> Vec<String> {
        let target = format!("--target={}", self.holders[machine].id());
        vec!["nsenter".to_owned(), "--net".to_owned(), target, "--".to_owned()]
    }

    /// Cuts a machine off.
    #[track_caller]
    pub fn cut(&self, machine: usize) {
        ip(&["link", "set", &self.cable(machine), "down"]);
    }

    /// Cuts a machine off from the others; it and we still reach each other.
    #[track_caller]
    pub fn cut_from_others(&self, machine: usize) {
        for other in (0..self.holders.len()).filter(|other| *other != machine) {
            let address = self.address(other).to_string();
            self.within(machine, &["route", "add", "blackhole", &address]);
        }
    }

    /// Undoes both cuts.
    #[track_caller]
    pub fn mend(&self, machine: usize) {
        ip(&["link", "set", &self.cable(machine), "up"]);
        let enter = self.enter(machine);
        let mut command = Command::new(&enter[0]);
        command.args(&enter[1..]).args(["ip", "route", "flush", "type", "blackhole"]);
        run(&mut command, Duration::from_secs(20));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for holder in &mut self.holders {
            let _ = holder.kill();
            let _ = holder.wait();
        }
        let _ = quietly(&["link", "del", &self.bridge]);
    }
}

#[track_caller]
fn ip(arguments: &[&str]) {
    let mut command = Command::new("ip");
    run(command.args(arguments), Duration::from_secs(20)).expect_code(0);
}

fn quietly(arguments: &[&str]) -> std::io::Result<()> {
    let mut command = Command::new("ip");
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().map(drop)
}
