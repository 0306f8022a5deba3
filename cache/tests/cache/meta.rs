//! The meta commands; every answer here is memcached 1.6.45's, but for its mistakes.

use crate::support::Peer;

#[test]
fn flags_come_back_in_the_order_asked() {
    let mut peer = Peer::new();
    peer.check(&[("set k 3 100 2\r\nhi\r\n", "STORED\r\n")]);
    peer.sleep(40);
    peer.check(&[
        ("mg k h l u t k v s f c Oabc\r\n", "VA 2 h0 l40 t60 kk s2 f3 c1 Oabc\r\nhi\r\n"),
        ("mg k\r\n", "HD\r\n"),
        ("mg k c h l\r\n", "HD c1 h1 l0\r\n"),
        ("mg k t T30\r\n", "HD t60\r\n"),
        ("mg k T50 t\r\n", "HD t50\r\n"),
        ("mg k T0 t\r\n", "HD t-1\r\n"),
        ("mg none k Oabc\r\n", "EN knone Oabc\r\n"),
        ("mg none k Oabc q\r\n", ""),
    ]);
}

#[test]
fn a_value_that_is_known_is_not_sent() {
    Peer::new().check(&[
        ("ms k 2 E7\r\nhi\r\n", "HD\r\n"),
        ("mg k C7 v c\r\n", "HD c7\r\n"),
        ("mg k C8 v c\r\n", "VA 2 c7\r\nhi\r\n"),
        ("mg k C8\r\n", "HD\r\n"),
        ("mg none C7 v\r\n", "EN\r\n"),
    ]);
}

#[test]
fn one_client_wins_a_missing_item() {
    let mut peer = Peer::new();
    peer.check(&[
        ("mg k N30 v t\r\n", "VA 0 t30 W\r\n\r\n"),
        ("mg k N30 v t\r\n", "VA 0 t30 Z\r\n\r\n"),
        ("add k 0 0 1\r\nx\r\n", "NOT_STORED\r\n"),
        ("ms k 1 T90\r\nx\r\n", "HD\r\n"),
        ("mg k N30 v t\r\n", "VA 1 t90\r\nx\r\n"),
        ("mg other t N30\r\n", "HD t-1 W\r\n"),
        ("mg third N30 T60 t\r\n", "HD t60 W\r\n"),
        ("mg fourth T60 t\r\n", "EN\r\n"),
    ]);
}

#[test]
fn one_client_wins_an_item_that_expires_soon() {
    Peer::new().check(&[
        ("set k 0 50 1\r\nx\r\n", "STORED\r\n"),
        ("mg k R10 t\r\n", "HD t50\r\n"),
        ("mg k R0 t\r\n", "HD t50\r\n"),
        ("mg k R60 t\r\n", "HD t50 W\r\n"),
        ("mg k R60 t\r\n", "HD t50 Z\r\n"),
        ("set k 0 100 1\r\nx\r\n", "STORED\r\n"),
        ("mg k R30 T20\r\n", "HD\r\n"),
        ("mg k R30 T20\r\n", "HD W\r\n"),
        ("set k 0 0 1\r\nx\r\n", "STORED\r\n"),
        ("mg k R30\r\n", "HD\r\n"),
    ]);
}

#[test]
fn one_client_wins_a_stale_item() {
    Peer::new().check(&[
        ("set k 0 0 1\r\nx\r\n", "STORED\r\n"),
        ("md k I T30\r\n", "HD\r\n"),
        ("mg k t c v\r\n", "VA 1 t30 c2 X W\r\nx\r\n"),
        ("mg k t c v\r\n", "VA 1 t30 c2 Z X\r\nx\r\n"),
        ("get k\r\n", "VALUE k 0 1\r\nx\r\nEND\r\n"),
        ("ms k 1 I T90 C1 c\r\ny\r\n", "HD c3\r\n"),
        ("mg k t c v f\r\n", "VA 1 t30 c3 f0 Z X\r\ny\r\n"),
        ("ms k 1 T90 F7 C3\r\nz\r\n", "HD\r\n"),
        ("mg k t c v f\r\n", "VA 1 t90 c4 f7\r\nz\r\n"),
        ("ms k 1 C99 c\r\nz\r\n", "EX c0\r\n"),
        ("ms k 1 C1 c I F9 T11\r\nQ\r\n", "HD c5\r\n"),
        ("mg k t v f\r\n", "VA 1 t90 f9 X W\r\nQ\r\n"),
        ("append k 0 0 1\r\n!\r\n", "STORED\r\n"),
        ("mg k t v f\r\n", "VA 2 t90 f9\r\nQ!\r\n"),
    ]);
}

#[test]
fn modes_of_ms() {
    Peer::new().check(&[
        ("ms k 2 MR k O12\r\nhi\r\n", "NS kk O12\r\n"),
        ("ms k 2 MA c\r\nhi\r\n", "NS c0\r\n"),
        ("ms k 2 C1\r\nhi\r\n", "NF\r\n"),
        ("ms k 2 ME k O12 q\r\nhi\r\n", ""),
        ("ms k 2 ME k O12 q\r\nhi\r\n", "NS kk O12\r\n"),
        ("ms k 2 MA T30 F4\r\n!!\r\n", "HD\r\n"),
        ("ms k 2 MP C9\r\nhi\r\n", "EX\r\n"),
        ("ms k 2 MP C2 c\r\n??\r\n", "HD c3\r\n"),
        ("mg k v t f\r\n", "VA 6 t-1 f0\r\n??hi!!\r\n"),
        ("ms k 1 MS T-1\r\nx\r\n", "HD\r\n"),
        ("mg k\r\n", "EN\r\n"),
    ]);
}

#[test]
fn ms_in_append_mode_may_create_the_item_since_1_6_22() {
    Peer::new().check(&[
        ("ms k 2 MA N30 T90 s\r\nhi\r\n", "HD s2\r\n"),
        ("ms k 2 MP N50 s\r\noh\r\n", "HD s4\r\n"),
        ("mg k v t\r\n", "VA 4 t30\r\nohhi\r\n"),
    ]);
}

#[test]
fn deletion() {
    Peer::new().check(&[
        ("md k k Oa\r\n", "NF kk Oa\r\n"),
        ("set k 0 0 1\r\nx\r\n", "STORED\r\n"),
        ("md k C0 k\r\n", "EX kk\r\n"),
        ("md k C1 q\r\n", ""),
        ("mg k\r\n", "EN\r\n"),
    ]);
}

#[test]
fn md_may_empty_an_item_since_1_6_22() {
    Peer::new().check(&[
        ("set k 7 50 1\r\nx\r\n", "STORED\r\n"),
        ("md k x T60\r\n", "HD\r\n"),
        ("mg k v t f c\r\n", "VA 0 t60 f0 c1\r\n\r\n"),
        ("md k x I E77\r\n", "HD\r\n"),
        ("mg k v t c\r\n", "VA 0 t-1 c77 X W\r\n\r\n"),
    ]);
}

#[test]
fn a_client_may_give_the_cas_unique_since_1_6_21() {
    Peer::new().check(&[
        ("ms k 1 E1000 c\r\n1\r\n", "HD c1000\r\n"),
        ("ma k E2000 c\r\n", "HD c2000\r\n"),
        ("md k I E3000\r\n", "HD\r\n"),
        ("mg k c\r\n", "HD c3000 X W\r\n"),
        ("mg new N0 E4000 c\r\n", "HD c4000 W\r\n"),
    ]);
}

#[test]
fn arithmetic() {
    Peer::new().check(&[
        ("ma n k Oa\r\n", "NF kn Oa\r\n"),
        ("ma n N0 J13 v t c\r\n", "VA 2 t-1 c1\r\n13\r\n"),
        ("ma n N0 J13 v D3 MD\r\n", "VA 2\r\n10\r\n"),
        ("ma n t T50\r\n", "HD t-1\r\n"),
        ("ma n t\r\n", "HD t50\r\n"),
        ("ma n C1 c O3 k v\r\n", "EX O3 kn\r\n"),
        ("ma n C0 v\r\n", "VA 2\r\n13\r\n"),
        ("ma n MD D100 v\r\n", "VA 1\r\n0\r\n"),
        ("ma n M+ v\r\n", "VA 1\r\n1\r\n"),
        ("ma n M- v\r\n", "VA 1\r\n0\r\n"),
        ("mg n v\r\n", "VA 2\r\n0 \r\n"),
        ("ma n q\r\n", ""),
        ("ma new T30 N50 t\r\n", "HD t50\r\n"),
        ("ma newer N50 T30 t\r\n", "HD t30\r\n"),
        ("set x 0 0 1\r\nx\r\n", "STORED\r\n"),
        ("ma x\r\n", "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"),
    ]);
}

#[test]
fn marks_last_as_long_as_a_number_keeps_its_width() {
    Peer::new().check(&[
        ("set n 0 0 1\r\n8\r\n", "STORED\r\n"),
        ("mg n h\r\n", "HD h0\r\n"),
        ("incr n 1\r\n", "9\r\n"),
        ("mg n h\r\n", "HD h1\r\n"),
        ("incr n 1\r\n", "10\r\n"),
        ("mg n h\r\n", "HD h0\r\n"),
        ("md n I\r\n", "HD\r\n"),
        ("incr n 1\r\n", "11\r\n"),
        ("mg n v\r\n", "VA 2 X W\r\n11\r\n"),
        ("md n I\r\n", "HD\r\n"),
        ("incr n 100\r\n", "111\r\n"),
        ("mg n v\r\n", "VA 3\r\n111\r\n"),
    ]);
}

#[test]
fn binary_keys() {
    Peer::new().check(&[
        ("ms a2V5 1 b c k\r\nx\r\n", "HD c1 ka2V5 b\r\n"),
        ("mg a2V5 b k v Oq s\r\n", "VA 1 ka2V5 b Oq s1\r\nx\r\n"),
        ("mg key k v\r\n", "VA 1 ka2V5 b\r\nx\r\n"),
        ("get key\r\n", "VALUE key 0 1\r\nx\r\nEND\r\n"),
        ("me a2V5 b\r\n", "ME a2V5 exp=-1 la=0 cas=1 fetch=yes cls=1 size=63\r\n"),
        ("mg bm9w k b Oab\r\n", "EN kbm9w b Oab\r\n"),
        ("md bm9w k b\r\n", "NF kbm9w b\r\n"),
        ("ma bm9w b k N0\r\n", "HD kbm9w b\r\n"),
    ]);
}

#[test]
fn debug_lines() {
    let mut peer = Peer::new();
    peer.check(&[("me k\r\n", "EN\r\n"), ("set k 3 100 4\r\nabcd\r\n", "STORED\r\n")]);
    peer.sleep(1);
    peer.check(&[
        ("me k\r\n", "ME k exp=99 la=1 cas=1 fetch=no cls=1 size=68\r\n"),
        ("get k\r\n", "VALUE k 3 4\r\nabcd\r\nEND\r\n"),
        ("me k\r\n", "ME k exp=99 la=0 cas=1 fetch=yes cls=1 size=68\r\n"),
        ("me\r\n", "CLIENT_ERROR bad command line format\r\n"),
    ]);
}

#[test]
fn quiet_requests_and_the_mark_behind_them() {
    Peer::new().check(&[(
        "mg a q v\r\nmg b q v\r\nms a 1 q\r\n1\r\nmg a q v O1\r\nmd a q\r\nmn\r\n",
        "VA 1 O1\r\n1\r\nMN\r\n",
    )]);
}
