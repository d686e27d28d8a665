/* The account of a mailbox: bounds, drops, and that a walk finds what the counters claim. */
#include "runtime/mailbox.h"

#include <criterion/criterion.h>

static mailbox_t make(uint64_t messages_max, uint64_t bytes_max)
{
    mailbox_t mailbox;
    mailbox_init(&mailbox,
                 (mailbox_limits_t){.messages_max = messages_max, .bytes_max = bytes_max});
    return mailbox;
}

Test(mailbox, refuses_the_message_above_its_bound_and_takes_it_once_there_is_room)
{
    mailbox_t mailbox = make(2, 1000);
    mail_t mails[3];
    for (int i = 0; i < 2; i++) {
        cr_assert(mailbox_reserve(&mailbox, 10, false));
        mailbox_push(&mailbox, &mails[i], LANE_NORMAL);
    }
    cr_assert(!mailbox_reserve(&mailbox, 10, false));
    cr_assert_eq(mailbox_account(&mailbox).refused, 1);
    cr_assert_eq(mailbox_take(&mailbox), &mails[0]);
    cr_assert(!mailbox_reserve(&mailbox, 10, false), "a message in hand still takes its room");
    mailbox_done(&mailbox, 10);
    cr_assert(mailbox_reserve(&mailbox, 10, false));
}

Test(mailbox, is_bounded_in_bytes_too)
{
    mailbox_t mailbox = make(100, 100);
    cr_assert(!mailbox_reserve(&mailbox, 101, false));
    cr_assert(mailbox_reserve(&mailbox, 100, false));
    cr_assert(!mailbox_reserve(&mailbox, 1, false));
}

Test(mailbox, never_refuses_what_needs_no_room)
{
    mailbox_t mailbox = make(1, 10);
    for (int i = 0; i < 5; i++) {
        cr_assert(mailbox_reserve(&mailbox, 100, true));
    }
    cr_assert_eq(mailbox_account(&mailbox).sent, 5);
}

/* The sender reads `sent` and is overtaken by others whose messages come and go. */
Test(mailbox, takes_a_message_when_more_were_handled_than_the_sender_knows_of)
{
    mailbox_t mailbox = make(4, 1000);
    mailbox_done(&mailbox, 50);
    cr_assert(mailbox_reserve(&mailbox, 10, false));
}

Test(mailbox, hands_out_in_order_and_accounts_for_every_message)
{
    mailbox_t mailbox = make(100, 10000);
    mail_t mails[50];
    for (int i = 0; i < 50; i++) {
        cr_assert(mailbox_reserve(&mailbox, 10, false));
        mailbox_push(&mailbox, &mails[i], LANE_NORMAL);
    }
    cr_assert_eq(mailbox_walk(&mailbox), 50);
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(mailbox_take(&mailbox), &mails[i]);
        if (i % 4 == 0) {
            mailbox_drop(&mailbox, 10, DROP_expired);
        } else {
            mailbox_done(&mailbox, 10);
        }
    }
    mailbox_account_t account = mailbox_account(&mailbox);
    cr_assert_eq(account.dropped[DROP_expired], 5);
    cr_assert_eq(account.sent, account.delivered + account.dropped_all + mailbox_walk(&mailbox));
    cr_assert(!mailbox_is_settled(&mailbox));
}

Test(mailbox, shows_a_message_that_vanished_behind_the_counters)
{
    mailbox_t mailbox = make(100, 10000);
    mail_t mails[3];
    for (int i = 0; i < 3; i++) {
        cr_assert(mailbox_reserve(&mailbox, 10, false));
        mailbox_push(&mailbox, &mails[i], LANE_NORMAL);
    }
    mails[0].next = mails[2].next;
    mailbox_account_t account = mailbox_account(&mailbox);
    cr_assert_neq(account.sent, account.delivered + account.dropped_all + mailbox_walk(&mailbox));
}

Test(mailbox, takes_the_priority_lane_first_and_each_lane_in_its_order)
{
    mailbox_t mailbox = make(100, 10000);
    mail_t mails[6];
    for (int i = 0; i < 6; i++) {
        cr_assert(mailbox_reserve(&mailbox, 10, false));
        mailbox_push(&mailbox, &mails[i], i % 2 == 0 ? LANE_NORMAL : LANE_PRIORITY);
    }
    static const int order[6] = {1, 3, 5, 0, 2, 4};
    for (int i = 0; i < 6; i++) {
        cr_assert_eq(mailbox_take(&mailbox), &mails[order[i]]);
    }
    cr_assert_null(mailbox_take(&mailbox));
}

Test(mailbox, says_when_it_is_full_and_when_half)
{
    mailbox_t mailbox = make(4, 100);
    cr_assert(mailbox_reserve(&mailbox, 10, false) && mailbox_reserve(&mailbox, 10, false));
    cr_assert(!mailbox_is_full(&mailbox, 1) && mailbox_is_full(&mailbox, 2));
    cr_assert(mailbox_reserve(&mailbox, 80, false));
    cr_assert(mailbox_is_full(&mailbox, 1), "by its bytes");
}

/* The account of the next owner begins at zero, with what is still on its way to the former one. */
Test(mailbox, begins_a_new_account_with_what_is_under_way)
{
    mailbox_t mailbox = make(100, 10000);
    for (int i = 0; i < 5; i++) {
        cr_assert(mailbox_reserve(&mailbox, 10, false));
    }
    mailbox_done(&mailbox, 10);
    mailbox_drop(&mailbox, 10, DROP_expired);
    mailbox_begin(&mailbox);
    mailbox_account_t account = mailbox_account(&mailbox);
    cr_assert_eq(account.sent, 3);
    cr_assert_eq(account.delivered + account.dropped_all + account.refused, 0);
    mailbox_drop(&mailbox, 10, DROP_stopped);
    account = mailbox_account(&mailbox);
    cr_assert_eq(account.sent, 3);
    cr_assert_eq(account.dropped[DROP_stopped], 1);
}

/* The words of the account wrap; the figures do not. */
Test(mailbox, accounts_for_more_messages_than_its_words_can_count)
{
    mailbox_t mailbox = make(100, 10000);
    const uint64_t count = UINT64_C(3) << (MAILBOX_COUNT_BITS - 1);
    for (uint64_t i = 0; i < count; i++) {
        cr_assert(mailbox_reserve(&mailbox, 100, false));
        mailbox_done(&mailbox, 100);
    }
    cr_assert(mailbox_reserve(&mailbox, 10000, false));
    cr_assert(!mailbox_reserve(&mailbox, 1, false));
    mailbox_account_t account = mailbox_account(&mailbox);
    cr_assert_eq(account.sent, count + 1);
    cr_assert_eq(account.delivered, count);
}

/* Pushes `count` messages at `now_us`; `mails` moves on. */
static void arrive(mailbox_t *mailbox, mail_t **mails, int count, int64_t now_us)
{
    for (int i = 0; i < count; i++) {
        cr_assert(mailbox_reserve(mailbox, 10, true));
        mailbox_note_arrival(mailbox, now_us);
        mailbox_push(mailbox, (*mails)++, LANE_NORMAL);
    }
}

static void run(mailbox_t *mailbox, uint32_t count, int64_t now_us)
{
    for (uint32_t i = 0; i < count; i++) {
        cr_assert_not_null(mailbox_take(mailbox));
        mailbox_done(mailbox, 10);
    }
    mailbox_note_run(mailbox, count, now_us);
}

Test(mailbox, knows_since_when_its_oldest_message_waits)
{
    mailbox_t mailbox = make(100, 10000);
    mail_t mails[32] = {{.next = NULL}};
    mail_t *next = mails;
    cr_assert_eq(mailbox_oldest_us(&mailbox), 0);
    arrive(&mailbox, &next, 2, 1000);
    arrive(&mailbox, &next, 1, 2000);
    cr_assert_eq(mailbox_oldest_us(&mailbox), 1000, "however long it is stuck");
    run(&mailbox, 3, 5000);
    cr_assert_eq(mailbox_oldest_us(&mailbox), 0, "nothing waits");
    arrive(&mailbox, &next, 1, 7000);
    cr_assert_eq(mailbox_oldest_us(&mailbox), 7000);
}

/* A flow that is always 100 rounds behind: each round 10 messages come and the oldest 10 go. */
Test(mailbox, tells_an_age_between_once_and_twice_the_true_one_in_a_steady_flow)
{
    enum { BEHIND = 100, ROUNDS = 5000, ROUND_US = 1000, EACH = 10 };
    static mail_t mails[EACH * ROUNDS];
    static mailbox_t mailbox;
    mailbox = make(EACH * ROUNDS, UINT64_C(1) << 30);
    mail_t *next = mails;
    for (int64_t round = 1; round <= ROUNDS; round++) {
        int64_t now_us = round * ROUND_US;
        arrive(&mailbox, &next, EACH, now_us);
        run(&mailbox, round > BEHIND ? EACH : 0, now_us);
        int64_t true_us = (round > BEHIND ? BEHIND - 1 : round - 1) * ROUND_US;
        int64_t told_us = now_us - mailbox_oldest_us(&mailbox);
        cr_assert(told_us >= true_us && told_us <= 2 * true_us + ROUND_US, "%d: %d, not %d",
                  (int)round, (int)told_us, (int)true_us);
    }
}
