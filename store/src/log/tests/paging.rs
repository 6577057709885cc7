//! Pages, compared with a filter over a list.

use proptest::prelude::*;
use toom_core::id::RoomId;

use super::*;

fn conversation(number: u8) -> Conversation {
    match number {
        0 => Conversation::Broadcast,
        1 => Conversation::Room(RoomId(1)),
        2 => Conversation::Room(RoomId(12)),
        _ => Conversation::direct(&name("luke"), &name("leia")),
    }
}

fn fact_of(message: &Message) -> Fact {
    let (from, text, at) = (message.from.clone(), message.text.clone(), message.at);
    match &message.conversation {
        Conversation::Broadcast => Fact::Broadcast { from, text, at, id: None },
        Conversation::Room(room) => Fact::RoomMessage { room: *room, from, text, at, id: None },
        Conversation::Direct(_, to) => Fact::DirectMessage { from, to: to.clone(), text, at, id: None },
    }
}

/// Messages of four conversations in one log, times never going backwards, with other facts between them.
fn messages() -> impl Strategy<Value = Vec<Message>> {
    proptest::collection::vec((0..4_u8, 0..3_i64, 0..6_usize, 1..3_u64), 0..40).prop_map(|list| {
        let (mut at, mut index, mut numbers) = (0, 0, [0_u64; 4]);
        let message = |(which, later, length, step): (u8, i64, usize, u64)| {
            let number = &mut numbers[usize::from(which)];
            (at, index, *number) = (at + later, index + step, *number + 1);
            Message {
                conversation: conversation(which),
                number: MessageNumber(*number),
                at: Timestamp::from_millis(at),
                from: name("luke"),
                text: "ü".repeat(length),
                index: LogIndex(index),
            }
        };
        list.into_iter().map(message).collect()
    })
}

/// Disjoint spans, in order of conversation, then number.
fn spans() -> impl Strategy<Value = Vec<Span>> {
    proptest::collection::vec((0..4_u8, 0..8_u64, 0..8_u64, any::<bool>()), 0..6).prop_map(|mut list| {
        list.sort_by_key(|(which, first, ..)| (conversation(*which), *first));
        let mut spans: Vec<Span> = Vec::new();
        for (which, first, length, open) in list {
            let last = if open { u64::MAX } else { first + length };
            let span =
                Span { conversation: conversation(which), first: MessageNumber(first), last: MessageNumber(last) };
            let overlaps = spans
                .last()
                .is_some_and(|before| before.conversation == span.conversation && before.last >= span.first);
            if !overlaps {
                spans.push(span);
            }
        }
        spans
    })
}

fn in_order(connection: &Connection, select: Select) -> Result<Page, ReadError> {
    let page = pages::answer(connection, &[], &Query::Select(select))?;
    Ok(page.expect("a page"))
}

fn model(messages: &[Message], select: &Select) -> Page {
    let found = select.spans.iter().flat_map(|span| {
        messages.iter().filter(|message| {
            message.conversation == span.conversation
                && message.number >= span.first
                && message.number <= span.last
                && message.at >= select.not_before
        })
    });
    let found: Vec<Message> = found.cloned().collect();
    let mut fitting = 0;
    while fitting < found.len() {
        let bytes: usize = found[..=fitting].iter().map(|message| message.text.len()).sum();
        if fitting == select.max_messages || (fitting > 0 && bytes > select.max_bytes) {
            break;
        }
        fitting += 1;
    }
    Page { messages: found[..fitting].to_vec(), more: fitting < found.len() }
}

proptest! {
    #[test]
    fn a_page_is_what_a_list_would_give(
        messages in messages(),
        spans in spans(),
        not_before in -1..40_i64,
        max_messages in 1..12_usize,
        max_bytes in 0..40_usize,
        saved in 0..40_usize,
    ) {
        let connection = schema::in_memory();
        let saved = saved.min(messages.len());
        for message in &messages[..saved] {
            facts::insert(&connection, message.index, &fact_of(message)).expect("inserted");
            messages::insert(&connection, message).expect("inserted");
        }
        let not_before = Timestamp::from_millis(not_before);
        let select = Select { spans, not_before, max_messages, max_bytes };
        let read = |query: &Query| pages::answer(&connection, &messages[saved..], query).expect("read").expect("a page");
        prop_assert_eq!(read(&Query::Select(select.clone())), model(&messages, &select));

        let all = Select { max_messages: usize::MAX, max_bytes: usize::MAX, ..select.clone() };
        let newest = select.last_page(model(&messages, &all).messages.into_iter().rev());
        prop_assert_eq!(read(&Query::Last(select.clone())), newest);

        let first_of = |span: &Span| model(&messages, &Select { spans: vec![span.clone()], ..all.clone() }).messages;
        let firsts = select.spans.iter().filter_map(|span| first_of(span).into_iter().next());
        prop_assert_eq!(read(&Query::First(select.clone())), select.page(firsts));
    }

    #[test]
    fn pages_one_after_another_give_every_message_once(messages in messages(), max_bytes in 0..20_usize) {
        let connection = schema::in_memory();
        for message in &messages {
            facts::insert(&connection, message.index, &fact_of(message)).expect("inserted");
            messages::insert(&connection, message).expect("inserted");
        }
        for which in 0..4 {
            let mut first = MessageNumber(1);
            let mut found = Vec::new();
            loop {
                let spans = vec![Span { conversation: conversation(which), first, last: MessageNumber(u64::MAX) }];
                let not_before = Timestamp::from_millis(0);
                let select = Select { spans, not_before, max_messages: 3, max_bytes };
                let page = in_order(&connection, select).expect("read");
                found.extend(page.messages);
                if !page.more {
                    break;
                }
                first = MessageNumber(found[found.len() - 1].number.0 + 1);
            }
            let expected = messages.iter().filter(|message| message.conversation == conversation(which));
            prop_assert!(found.iter().eq(expected));
        }
    }
}

#[test]
fn asking_for_the_newest_does_not_read_the_oldest() {
    let connection = schema::in_memory();
    for number in 1..=3 {
        messages::insert(&connection, &message(number, number, "x")).expect("inserted");
    }
    // The first two have no facts: whoever reads them fails.
    facts::insert(&connection, LogIndex(3), &broadcast("x")).expect("inserted");
    let select = Select { not_before: Timestamp::from_millis(3000), ..all_broadcasts() };
    let page = in_order(&connection, select).expect("only the third is read");
    assert_eq!(page.messages, [message(3, 3, "x")]);
    assert!(in_order(&connection, all_broadcasts()).is_err());
    let newest = Query::Last(Select { max_messages: 1, ..all_broadcasts() });
    // One more is read, to know whether there is more.
    facts::insert(&connection, LogIndex(2), &broadcast("x")).expect("inserted");
    let page = pages::answer(&connection, &[], &newest).expect("only the newest are read").expect("a page");
    assert_eq!(page.messages, [message(3, 3, "x")]);
}
