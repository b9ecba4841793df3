//! What users of other gateways complain of most, each as a test that names what holds here instead: apps of the four
//! dialects before providers of the six. What other modules show already is not repeated, but listed:
//!
//! | what users complain of | what shows that it is not so here |
//! | --- | --- |
//! | the provider goes on, and is paid, after its app has left | `whoever_leaves_in_the_middle_stops_the_provider_and_what_was_used_is_estimated` |
//! | … before its first token, or where the app does not stream | `whoever_leaves_before_the_first_token_stops_the_provider_streaming_or_not` |
//! | … on one route and not on another | `whoever_leaves_in_the_middle_stops_the_provider_and_what_was_used_is_estimated` |
//! | usage and cost are lost with the app | `a_cancel_leaves_an_estimate_and_its_cost` |
//! | a prompt that was charged is not counted, as no token came | `whoever_leaves_before_the_first_token_stops_the_provider_streaming_or_not` |
//! | what the provider counts at its end is lost with the app | `under_drain_what_the_provider_counts_after_the_app_has_left_is_the_usage` |
//! | whoever leaves goes on taking up a place | `an_app_that_leaves_in_the_middle_of_it_frees_what_it_held` |
//! | leaving is taken for a stop, or a stop for leaving | `a_stop_ends_it_as_an_abort_and_a_viewer_who_leaves_stops_nothing` |
//! | a stream that was cut ends well | `a_stream_that_breaks_off_is_a_success_to_no_app_whoever_broke_it` |
//! | a whole answer that was cut is one | `a_whole_answer_that_stops_in_the_middle_of_its_json_is_cut` |
//! | an error within a stream is swallowed, or told in another dialect's form | `a_failure_in_the_stream_reaches_every_app_in_its_own_form` |
//! | a failure becomes an empty answer | `a_stream_without_a_payload_is_no_empty_success` |
//! | an error under 200 is not tried elsewhere | `a_failure_within_a_200_before_the_first_token_goes_to_the_next_target` |
//! | what was said before a failure is thrown away | `after_the_first_token_nothing_is_tried_again` |
//! | a limit drops the connection without a word | `an_event_that_is_too_long_for_the_log_is_a_limit_and_the_app_is_told` |
//! | a refusal does not say when to come again | `a_refusal_of_any_provider_has_the_form_of_the_app_and_says_when_to_come_again` |
//! | not a byte until the first token | `no_app_waits_in_silence_for_the_first_token` |
//! | the first token is waited for without end | `a_provider_that_does_not_answer_is_a_timeout_of_the_first_token` |
//! | a timeout ends a stream that is well | `a_healthy_stream_outlives_every_timeout_but_the_total` |
//! | a stall never ends | `a_stall_is_a_timeout_of_idle_whatever_comments_come` |
//! | … as comments come | `a_stall_with_nothing_but_pings_ends_in_every_dialect` |
//! | … as now and then a token comes | `a_generation_that_takes_too_long_is_a_timeout_of_total` |
//! | a stall before the first token is not tried elsewhere | `a_provider_that_only_pings_before_its_first_token_is_left_for_the_next` |
//! | a provider's comments become data | `a_providers_pings_and_comments_are_data_to_no_app` |
//! | a shutdown breaks streams off | `a_shutdown_ends_live_streams_with_an_error_in_the_apps_form` |
//! | all tokens come at once | `what_a_provider_says_is_told_before_it_says_more` |
//! | memory grows with slow readers | `an_app_that_does_not_read_slows_nobody_and_gets_everything_once` |
//! | … and with a line that does not end | `a_payload_without_end_is_given_up_in_every_framing` |
//! | characters are cut | `characters_that_tcp_cuts_stay_whole_in_every_dialect` |
//! | compressed streams are garbage | `a_stream_that_comes_compressed_is_refused_and_none_is_asked_for` |
//! | line ends, `retry:` and `id:` lines are taken for data | `line_ends_ids_and_retry_lines_of_a_provider_say_nothing_to_the_app` |
//! | usage is zero, or lost where it follows the reason | `usage_reaches_every_app_in_its_own_words_also_where_it_follows_the_reason` |
//! | the chunk of usage comes unasked, or not at all | `a_chat_app_gets_the_usage_chunk_once_and_only_where_it_asked` |
//! | Anthropic's apps are told of no input | `an_anthropic_apps_input_tokens_are_put_right_at_the_end` |
//! | cumulative counts are added up | `googles_counts_are_cumulative_and_never_added` |
//! | events are left out, doubled, or numbered badly | `an_answers_lifecycle_is_complete_and_in_order_whoever_answers` |
//! | `starting_after` gives nothing | `a_killed_app_reads_on_from_any_number_whoever_answers` |
//! | a break is not mended, or text is doubled | `however_it_breaks_and_however_the_next_one_goes_on_the_text_is_whole` |
//! | a splice begins a second message | `a_splice_makes_no_second_beginning_in_any_dialect` |
//! | half a tool call stays behind after a splice | `a_call_half_said_is_void_in_every_dialect_and_the_next_provider_makes_its_own` |
//! | a target that is down is asked again and again | `a_target_whose_circuit_is_open_is_passed_over_unless_all_are` |
//! | an answer that is only a call has no beginning | `an_answer_that_is_only_a_call_begins_and_ends_as_any_other` |
//! | blocks interleave | `text_before_and_after_a_call_has_blocks_of_its_own` |
//! | parallel calls are mixed up | `parallel_calls_whose_fragments_interleave_stay_apart_in_every_dialect` |
//! | … where the index is missing or always 0 | `calls_without_an_index_or_all_with_nought_are_told_apart_by_their_ids` |
//! | Google's reason on every chunk, and `STOP` with calls | `googles_reason_on_every_chunk_ends_nothing_early_and_its_stop_with_a_call_is_a_call` |
//! | signatures and thoughts do not come back with the next turn | `what_a_model_signed_comes_back_to_it_through_an_app_of_any_dialect` |
//! | reasoning alone says nothing | `a_chunk_of_nothing_but_reasoning_opens_a_thought` |
//! | reasons lose their meaning | `every_reason_has_the_apps_own_word` |
//! | `max_tokens` under the wrong name, or missing | `a_limit_of_tokens_has_the_name_that_the_model_takes_and_is_there_where_it_must_be` |
//! | Ollama's last line without its newline is lost | `ollamas_last_line_counts_without_its_newline` |
//! | … and so is what it only thinks | `ollama_that_only_thinks_for_a_while_is_heard_thinking` |

mod disconnect;
mod framing;
mod kit;
mod lifecycle;
mod pictures;
mod silence;
mod tools;
mod truth;
mod turns;
mod usage;
mod voice;

/// The list above names tests that there are.
#[test]
fn every_complaint_has_its_test() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http");
    let mut sources = String::new();
    for folder in [here.clone(), here.join("complaints")] {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                sources += &std::fs::read_to_string(path).expect("a source");
            }
        }
    }
    let rows = include_str!("complaints.rs").lines().filter_map(|line| line.strip_prefix("//! | "));
    let names: Vec<_> = rows.filter_map(|row| row.split('`').rev().nth(1)).collect();
    let missing: Vec<_> =
        names.iter().filter(|name| !sources.contains(&format!("async fn {name}("))).collect();
    assert!(names.len() > 50 && missing.is_empty(), "{} names, and no {missing:?}", names.len());
}
