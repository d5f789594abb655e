//! Mirrors `src/age.rs`.

use std::time::Duration;

use backup_queue::age::{Ageing, age};

use crate::support::*;

#[test]
fn what_waited_long_goes_before_what_is_urgent_a_bounded_number_at_a_time() {
    let database = Database::create();
    let conn = &mut database.connection();
    for text in ["oldest", "older", "old", "young"] {
        add(conn, &letter(text));
    }
    for (text, minutes) in [("oldest", 30), ("older", 20), ("old", 10)] {
        conn.batch_execute_all(&format!(
            "update jobs set run_at = run_at - interval '{minutes} minutes' where arguments->>'text' = '{text}'"
        ));
    }
    for text in ["urgent", "also urgent"] {
        add(conn, &letter(text).priority(50));
    }
    let ageing = Ageing { queue: "letters", from: 100, to: 50, after: Duration::from_secs(60) };
    assert_eq!(age(conn, Ageing { queue: "others", ..ageing }, 2).unwrap(), 0);
    assert_eq!(age(conn, ageing, 2).unwrap(), 2);
    let taken = take(conn, "tester", &["letters"], 10);
    assert_eq!(texts(&taken), ["oldest", "older", "urgent", "also urgent", "old", "young"]);
    assert_eq!(age(conn, ageing, 2).unwrap(), 0, "what runs does not wait");
}
