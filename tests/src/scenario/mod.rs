//! The scenarios, written once, and the trait through which they act on any world.
//!
//! A scenario is a function of a [`World`]: it starts a server, connects clients, gives commands as a person
//! would, and waits for what people are told. It never waits for a time to pass where a condition will do,
//! and it says that something did not happen only once something that is ordered behind it has.
//!
//! [`play_all_scenarios`](crate::play_all_scenarios) lists them all.

pub mod accounts;
pub mod blocking;
pub mod broadcast;
pub mod crowd;
pub mod direct;
pub mod find;
pub mod history;
pub mod limits;
pub mod login;
pub mod misbehaviour;
pub mod names;
pub mod presence;
pub mod restart;
pub mod resuming;
pub mod rooms;
pub mod sealed;
pub mod steps;
pub mod transfer;
pub mod verify;
mod world;

pub use world::{ClientId, Downloaded, RawId, Setup, TestFile, World};

/// Makes one test of every scenario, on the world that `$world` makes.
#[macro_export]
macro_rules! play_all_scenarios {
    ($world:expr) => {
        $crate::play_scenarios! { $world;
            login:
                good_and_bad_logins,
                an_unknown_user_is_like_a_wrong_password,
                a_second_login_is_refused,
                a_name_is_free_again_after_logout,
                a_login_may_come_again_on_the_same_connection;
            accounts:
                an_account_can_be_added_while_the_server_runs,
                a_changed_password_counts_at_once,
                a_removed_account_is_gone_with_its_session;
            blocking:
                the_third_consecutive_failure_blocks,
                a_block_refuses_even_the_right_password_from_anywhere,
                failures_count_over_all_connections_and_addresses,
                a_block_ends,
                tries_during_a_block_do_not_count,
                an_unknown_name_is_blocked_too,
                a_block_is_nobody_elses_business,
                a_block_survives_a_restart;
            names:
                a_name_is_found_in_every_spelling,
                failures_count_over_all_spellings,
                a_file_with_a_hostile_name_gets_a_harmless_one;
            limits:
                silent_connections_push_out_the_oldest_of_them_only,
                an_address_from_which_many_names_fail_is_refused,
                failed_logins_are_told_at_the_next_login,
                a_user_who_posts_too_much_is_refused;
            presence:
                alone_there_is_no_other_active_user,
                others_are_listed_with_where_they_are,
                coming_and_going_is_told,
                the_user_log_is_renumbered_at_logout,
                a_lost_connection_ends_the_session;
            broadcast:
                a_broadcast_reaches_all_others_once,
                only_who_is_active_hears,
                broadcasts_have_one_order,
                a_burst_of_commands_is_answered_in_order,
                the_length_of_a_text_has_limits,
                the_message_log_has_every_broadcast;
            rooms:
                a_room_is_built_of_oneself_and_others,
                unknown_users_are_all_told,
                offline_users_are_all_told,
                the_same_members_have_one_room,
                a_room_of_oneself_is_refused,
                only_members_hear_a_room,
                strangers_cannot_write,
                an_invited_user_becomes_a_member,
                invitations_can_be_refused,
                who_leaves_hears_no_more,
                the_current_members_tell_rooms_apart;
            history:
                broadcasts_since_a_time_are_strictly_later,
                there_may_be_nothing_new,
                rooms_are_read_for_the_time_of_membership,
                rooms_since_a_time_are_strictly_later,
                long_history_comes_in_one_answer;
            find:
                one_finds_what_one_may_read,
                a_search_reads_nothing_and_survives_a_restart;
            direct:
                a_message_comes_live_and_to_one_only,
                a_message_waits_for_who_is_offline,
                a_message_that_was_shown_does_not_come_again,
                a_message_needs_somebody_else;
            restart:
                a_restart_keeps_everything,
                a_restart_continues_the_text_logs;
            resuming:
                what_was_missed_comes_once_and_in_order,
                everyone_comes_back_to_a_server_that_was_restarted,
                what_is_asked_meanwhile_is_answered_afterwards,
                the_same_device_takes_over_and_the_client_before_is_told,
                the_secret_ends_with_the_session,
                a_transfer_goes_on_without_the_server,
                who_stays_away_has_left_and_comes_back;
            transfer:
                a_file_arrives_whole,
                files_of_every_size_arrive,
                a_large_file_arrives_whole,
                a_name_that_is_taken_is_numbered,
                the_same_content_is_not_written_again,
                a_file_needs_to_exist_and_somebody_to_receive_it,
                an_offer_can_be_rejected,
                an_offer_can_be_taken_back,
                a_sender_can_cancel,
                a_receiver_can_cancel,
                logging_out_ends_transfers,
                the_end_of_input_waits_for_transfers,
                an_offer_ends_when_either_person_leaves,
                several_files_cross_at_once,
                the_list_shows_what_waits;
            verify:
                both_see_the_same_number_and_confirm_it,
                two_laptops_are_no_alarm,
                a_new_device_of_who_was_verified_is_refused_both_ways,
                a_new_device_of_who_was_met_is_told_and_not_accepted_automatically,
                the_server_is_not_told_what_a_file_is_called;
            misbehaviour:
                a_wrong_greeting_is_closed,
                a_frame_that_is_none_is_closed,
                half_a_frame_harms_nobody,
                a_request_before_the_login_is_closed,
                a_second_login_on_a_connection_is_refused,
                a_flood_of_requests_is_closed,
                stray_datagrams_disturb_no_transfer,
                connections_that_come_and_go_harm_nobody;
        }
    };
}

/// Makes one test of each of these scenarios, in modules named after their groups.
#[macro_export]
macro_rules! play_scenarios {
    ($world:expr; $($group:ident: $($scenario:ident),+;)+) => {
        $(
            mod $group {
                $(
                    #[test]
                    fn $scenario() {
                        let mut world = $world;
                        toom_tests::scenario::$group::$scenario(&mut world);
                    }
                )+
            }
        )+
    };
}
