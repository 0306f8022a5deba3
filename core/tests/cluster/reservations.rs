//! Items that a queue has set aside for one connection.

use windhover_core::client::{
    Call, CallId, ClusterOptions, ConnectionId, NotSent, ReservationId, Server,
};
use windhover_core::memcache::kestrel::ReadMode;
use windhover_core::memcache::{End, Reason};

use crate::client::{Client, ms, not_sent, put, read, unknown, values};

const ITEM: &str = "VALUE jobs 0 4\r\nwork\r\nEND\r\n";

fn one_queue() -> Client {
    Client::new(ClusterOptions::queues(), &["q"])
}

fn reserve(client: &mut Client, wait: Option<u64>, within: u64) -> CallId {
    let read = read(ReadMode::Open, wait.map(ms));
    client.submit(Call::reserve(read), ms(within))
}

/// An item that is open.
fn reserved(client: &mut Client) -> (ReservationId, ConnectionId) {
    let call = reserve(client, None, 1000);
    let connection = client.accept("q");
    client.reply(connection, ITEM);
    (client.reservation(call), connection)
}

fn confirm(client: &mut Client, reservation: ReservationId, within: u64) -> CallId {
    client.submit(Call::on_reservation(read(ReadMode::Close, None), reservation), ms(within))
}

#[test]
fn an_item_is_confirmed_on_its_own_connection_which_then_serves_others() {
    let mut client = one_queue();
    let call = reserve(&mut client, None, 1000);
    let connection = client.accept("q");
    assert_eq!(client.wire(connection), "get jobs/open\r\n");
    client.reply(connection, ITEM);
    let completed = client.completed(call);
    let reservation = completed.reservation.unwrap();
    assert_eq!(values(completed.outcome.unwrap()), ["work"]);

    // While it is reserved, nobody else gets it.
    let other = reserve(&mut client, None, 1000);
    assert_eq!(client.wire(connection), "");
    let second = client.accept("q");
    client.reply(second, "END\r\n");
    let completed = client.completed(other);
    assert!(completed.reservation.is_none() && completed.outcome.unwrap().is_miss());

    let confirmed = confirm(&mut client, reservation, 1000);
    assert_eq!(client.wire(connection), "get jobs/close\r\n");
    client.reply(connection, "END\r\n");
    assert_eq!(
        client.reservation(confirmed),
        reservation,
        "it is the caller's until it is given back"
    );
    client.cluster.release_reservation(reservation, client.now);
    let again = reserve(&mut client, None, 1000);
    assert_eq!((client.pending.len(), client.closed.len()), (0, 0), "a connection was spare");
    client.cancel(again);
}

#[test]
fn an_old_reservation_has_no_power_over_the_next_one_on_its_connection() {
    let mut client = one_queue();
    let (old, connection) = reserved(&mut client);
    confirm(&mut client, old, 1000);
    client.reply(connection, "END\r\n");
    client.cluster.release_reservation(old, client.now);
    let call = reserve(&mut client, None, 1000);
    client.reply(connection, ITEM);
    let reservation = client.reservation(call);
    assert_ne!(old, reservation);
    client.cluster.abandon_reservation(old);
    client.cluster.release_reservation(old, client.now);
    let stale = confirm(&mut client, old, 100);
    assert_eq!(not_sent(client.outcome(stale)), NotSent::ReservationLost);
    let confirmed = confirm(&mut client, reservation, 100);
    client.reply(connection, "END\r\n");
    assert!(client.outcome(confirmed).is_ok());
}

#[test]
fn abandoning_closes_the_connection_and_tells_what_is_under_way() {
    let mut client = one_queue();
    let (reservation, connection) = reserved(&mut client);
    let confirmed = confirm(&mut client, reservation, 1000);
    client.cluster.abandon_reservation(reservation);
    client.settle();
    assert_eq!(client.closed, [connection]);
    assert_eq!(unknown(client.outcome(confirmed)), Reason::End(End::Abandoned));
    let late = confirm(&mut client, reservation, 1000);
    assert_eq!(not_sent(client.outcome(late)), NotSent::ReservationLost);
}

#[test]
fn releasing_an_item_that_is_still_open_closes_the_connection() {
    let mut client = one_queue();
    let (reservation, connection) = reserved(&mut client);
    client.cluster.release_reservation(reservation, client.now);
    client.settle();
    assert_eq!(client.closed, [connection], "or else the item would be nobody's");
}

#[test]
fn releasing_with_a_call_under_way_closes_the_connection() {
    let mut client = one_queue();
    let (reservation, connection) = reserved(&mut client);
    let confirmed = confirm(&mut client, reservation, 1000);
    client.cluster.release_reservation(reservation, client.now);
    client.settle();
    assert_eq!(client.closed, [connection]);
    client.outcome(confirmed).unwrap_err();
}

#[test]
fn a_reservation_ends_with_its_connection() {
    let mut client = one_queue();
    let (reservation, connection) = reserved(&mut client);
    client.hang_up(connection);
    let confirmed = confirm(&mut client, reservation, 1000);
    assert_eq!(not_sent(client.outcome(confirmed)), NotSent::ReservationLost);
}

#[test]
fn a_confirmation_without_an_answer_closes_the_connection() {
    let mut client = one_queue();
    let (reservation, connection) = reserved(&mut client);
    let confirmed = confirm(&mut client, reservation, 100);
    client.after(ms(100));
    assert_eq!(unknown(client.outcome(confirmed)), Reason::Deadline);
    assert_eq!(client.closed, [connection]);
}

#[test]
fn a_blocking_read_waits_beyond_the_attempt_timeout_and_then_moves_on() {
    let mut client = Client::new(ClusterOptions::queues(), &["q", "r"]);
    let call = reserve(&mut client, Some(1000), 5000);
    let hung = client.accept("q");
    assert_eq!(client.wire(hung), "get jobs/t=1000/open\r\n");
    client.after(ms(1249));
    assert_eq!((client.pending.len(), client.closed.len()), (0, 0));
    client.after(ms(1));
    // Its connection is closed: the server puts back what it may have opened.
    assert_eq!(client.closed, [hung]);
    let other = client.accept("r");
    client.reply(other, ITEM);
    assert_eq!(client.completed(call).reservation.map(|_| ()), Some(()));
}

#[test]
fn a_read_that_is_given_up_leaves_no_item_behind() {
    for given_up_by_deadline in [true, false] {
        let mut client = one_queue();
        let call = reserve(&mut client, Some(50), 100);
        let connection = client.accept("q");
        if given_up_by_deadline {
            client.after(ms(100));
            assert_eq!(unknown(client.outcome(call)), Reason::Deadline);
        } else {
            client.cancel(call);
        }
        assert_eq!(client.closed, [connection]);
        assert_eq!(client.statistics("q").connections, 0);
    }
}

#[test]
fn a_read_given_up_before_its_connection_leaves_the_connection_to_the_next() {
    let mut client = one_queue();
    let call = reserve(&mut client, None, 1000);
    client.cancel(call);
    let next = reserve(&mut client, None, 1000);
    assert_eq!(client.pending.len(), 1);
    let connection = client.accept("q");
    assert_eq!(client.wire(connection), "get jobs/open\r\n");
    client.reply(connection, "END\r\n");
    assert!(client.outcome(next).unwrap().is_miss());
}

#[test]
fn exclusive_connections_are_bounded() {
    let mut options = ClusterOptions::queues();
    options.exclusive = 2;
    let mut client = Client::new(options, &["q"]);
    let (first, _) = reserved(&mut client);
    reserved(&mut client);
    let third = reserve(&mut client, None, 1000);
    assert_eq!(not_sent(client.outcome(third)), NotSent::Overloaded);
    client.cluster.abandon_reservation(first);
    let fourth = reserve(&mut client, None, 1000);
    assert!(!client.is_over(fourth));
}

#[test]
fn a_read_that_opens_never_shares_a_connection() {
    let mut client = one_queue();
    let mut call = Call::reserve(read(ReadMode::Open, None));
    call.exclusive = false;
    let call = client.submit(call, ms(1000));
    let connection = client.accept("q");
    client.reply(connection, ITEM);
    assert!(client.completed(call).reservation.is_some());
}

#[test]
fn what_comes_behind_a_read_that_waits_has_another_connection() {
    let mut client = one_queue();
    let waits = Call::reserve(read(ReadMode::Remove, Some(ms(800))));
    let waits = client.submit(waits, ms(1000));
    let connection = client.accept("q");
    assert_eq!(client.wire(connection), "get jobs/t=800\r\n");
    let stored = client.submit(Call::enqueue(put("work")), ms(1000));
    assert_eq!(client.wire(connection), "", "it would wait for the read's answer");
    let second = client.accept("q");
    client.reply(second, "STORED\r\n");
    assert!(client.outcome(stored).is_ok() && !client.is_over(waits));
}

#[test]
fn a_server_that_is_removed_keeps_its_reservations_until_they_are_given_back() {
    let mut client = Client::new(ClusterOptions::queues(), &["q", "r"]);
    let call = reserve(&mut client, None, 1000);
    let connection = client.accept("q");
    let connecting = reserve(&mut client, None, 1000);
    let waiting = reserve(&mut client, None, 1000);
    client.cluster.set_servers(&[Server::new("r")], client.now).unwrap();
    client.settle();
    // One connection to `q` was not made yet: what waited for it goes elsewhere at once.
    client.accept("r");
    client.accept("r");
    client.reply(connection, ITEM);
    let reservation = client.reservation(call);
    let confirmed = confirm(&mut client, reservation, 1000);
    client.reply(connection, "END\r\n");
    assert!(client.outcome(confirmed).is_ok());
    client.cluster.release_reservation(reservation, client.now);
    client.settle();
    assert!(client.closed.contains(&connection));
    assert!(!client.is_over(connecting) && !client.is_over(waiting));
}

#[test]
fn a_call_given_up_before_its_end_was_told_is_not_told() {
    let mut client = Client::new(ClusterOptions::queues(), &[]);
    let read = read(ReadMode::Open, None);
    let call = client.cluster.submit(Call::reserve(read), client.now + ms(10), client.now).unwrap();
    client.cancel(call);
    assert!(!client.is_over(call));
}
