use proptest::prelude::*;

use super::*;

const STORY: &str =
    "Once upon a time there was a gateway that never lost a token, and it lived by the sea.";

fn run(said: &str, joint: Joint, pieces: &[&str]) -> Result<String, Restarted> {
    let mut overlap = Overlap::new(said, joint);
    let mut out = String::new();
    for piece in pieces {
        out += &overlap.push(piece)?;
    }
    Ok(out + &overlap.finish())
}

fn both(said: &str, continuation: &str) -> [Result<String, Restarted>; 2] {
    [Joint::Prefill, Joint::Instruction].map(|joint| run(said, joint, &[continuation]))
}

#[test]
fn what_goes_on_passes_untouched_and_at_once() {
    for joint in [Joint::Prefill, Joint::Instruction] {
        let mut overlap = Overlap::new(STORY, joint);
        assert_eq!(overlap.push(" And").as_deref(), Ok(" And"));
        assert_eq!(overlap.push(STORY).as_deref(), Ok(STORY), "only the beginning counts");
    }
}

#[test]
fn a_model_that_begins_anew_is_cut_to_what_is_new() {
    let again = format!("{STORY} The end.");
    assert_eq!(both(STORY, &again), [Ok(" The end.".to_owned()), Ok(" The end.".to_owned())]);
    assert_eq!(
        run("Sur", Joint::Instruction, &["Su", "re, of course"]).as_deref(),
        Ok("e, of course")
    );
}

#[test]
fn a_repeated_end_is_cut_only_after_an_instruction() {
    let again = "it lived by the sea. The end.";
    assert_eq!(run(STORY, Joint::Instruction, &[again]).as_deref(), Ok(" The end."));
    assert_eq!(run(STORY, Joint::Prefill, &[again]).as_deref(), Ok(again));
    let short = "the sea. The end.";
    assert_eq!(
        run(STORY, Joint::Instruction, &[short]).as_deref(),
        Ok(short),
        "that may be chance"
    );
}

#[test]
fn honest_repetition_is_not_eaten() {
    for (said, more) in [
        ("He laughed: ha ha ha ha ha ha ha", "ha ha ha ha ha ha ha!"),
        ("----------------------------", "----------------"),
        ("| a | b |\n| --- | --- | --- | --- |", " --- | --- | --- |"),
    ] {
        assert_eq!(both(said, more), [Ok(more.to_owned()), Ok(more.to_owned())], "{said}");
    }
    assert_eq!(run("ha ", Joint::Prefill, &["ha ha"]).as_deref(), Ok("ha ha"));
}

#[test]
fn another_answer_is_no_continuation() {
    let other = STORY.replace("by the sea", "in the hills");
    assert_eq!(run(STORY, Joint::Instruction, &[&other]), Err(Restarted));
    assert_eq!(run(STORY, Joint::Prefill, &[&other]).as_deref(), Ok(&*other));
    let sooner = run(STORY, Joint::Instruction, &["Once upon a time"]);
    assert_eq!(sooner.as_deref(), Ok(""), "it began anew and ended sooner");
}

#[test]
fn white_space_that_was_left_out_of_a_prefill_is_not_doubled() {
    let said = "A list of things:\n\n";
    for (continuation, fresh) in [
        ("\n\n- one", "- one"),
        ("\n- one", "- one"),
        ("- one", "- one"),
        ("A list of things:\n\n- one", "- one"),
    ] {
        assert_eq!(run(said, Joint::Prefill, &[continuation]).as_deref(), Ok(fresh));
    }
}

/// The definition, told by looking at the whole continuation at once.
fn repeated(said: &str, continuation: &str) -> usize {
    let ends = said.char_indices().map(|(at, _)| &said[at..]);
    let counts = |end: &&str| {
        let enough = end.chars().count() >= OVERLAP_CHARS_MIN && end.len() <= WINDOW_BYTES;
        *end == said || (enough && !is_repetitive(end.as_bytes()))
    };
    let repeated = ends.filter(counts).find(|end| continuation.starts_with(end));
    repeated.map_or(0, str::len)
}

fn pieces(text: &str, cuts: &[usize]) -> Vec<String> {
    let mut cuts: Vec<usize> =
        cuts.iter().map(|cut| text.floor_char_boundary(cut % (text.len() + 1))).collect();
    cuts.extend([0, text.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|two| text[two[0]..two[1]].to_owned()).collect()
}

proptest! {
    /// Whatever was said, and however the model goes on from it: what is shown is all of it, once.
    #[test]
    fn nothing_is_lost_and_nothing_doubled(
        text in "[a-z é漢\\n]{2,400}",
        at in any::<usize>(),
        back in any::<usize>(),
        cuts in proptest::collection::vec(any::<usize>(), 0..12),
    ) {
        let at = text.floor_char_boundary(at % text.len());
        let (said, rest) = text.split_at(at);
        let honest = repeated(said, rest) == 0;
        for joint in [Joint::Prefill, Joint::Instruction] {
            // On from where it stopped.
            let body = match joint {
                Joint::Prefill => said.trim_end(),
                Joint::Instruction => said,
            };
            let on = pieces(&text[body.len()..], &cuts);
            let on: Vec<&str> = on.iter().map(String::as_str).collect();
            if honest && body.len() > 1 {
                let shown = run(said, joint, &on).map(|fresh| said.to_owned() + &fresh);
                prop_assert_eq!(shown.as_deref(), Ok(&*text));
            }
            // From the beginning.
            let anew = pieces(&text, &cuts);
            let anew: Vec<&str> = anew.iter().map(String::as_str).collect();
            if !said.trim().is_empty()
                && (joint == Joint::Instruction || body.chars().count() >= OVERLAP_CHARS_MIN)
            {
                let shown = run(said, joint, &anew).map(|fresh| said.to_owned() + &fresh);
                prop_assert_eq!(shown.as_deref(), Ok(&*text));
            }
        }
        // From somewhere before the end.
        let back = said.floor_char_boundary(back % (said.len() + 1));
        if !said.trim().is_empty() && repeated(said, &text[back..]) == at - back {
            let again = pieces(&text[back..], &cuts);
            let again: Vec<&str> = again.iter().map(String::as_str).collect();
            let shown = run(said, Joint::Instruction, &again).map(|fresh| said.to_owned() + &fresh);
            prop_assert_eq!(shown.as_deref(), Ok(&*text));
        }
    }

    /// The same whatever the cuts, and as the definition has it, over an alphabet in which everything repeats.
    #[test]
    fn streaming_gives_what_the_definition_gives(
        said in "[ab\\n]{1,40}",
        continuation in "[ab\\n]{0,60}",
        cuts in proptest::collection::vec(any::<usize>(), 0..12),
    ) {
        prop_assume!(!said.trim().is_empty());
        let ended_sooner = continuation.chars().count() >= OVERLAP_CHARS_MIN
            && continuation.len() < said.len() && said.starts_with(&continuation)
            && !is_repetitive(continuation.as_bytes());
        prop_assume!(!ended_sooner);
        let cut = pieces(&continuation, &cuts);
        let cut: Vec<&str> = cut.iter().map(String::as_str).collect();
        let expected = continuation[repeated(&said, &continuation)..].to_owned();
        prop_assert_eq!(run(&said, Joint::Instruction, &cut), Ok(expected));
    }
}
