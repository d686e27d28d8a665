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
        mailbox_push(&mailbox, &mails[i]);
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
        mailbox_push(&mailbox, &mails[i]);
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
        mailbox_push(&mailbox, &mails[i]);
    }
    mails[0].next = mails[2].next;
    mailbox_account_t account = mailbox_account(&mailbox);
    cr_assert_neq(account.sent, account.delivered + account.dropped_all + mailbox_walk(&mailbox));
}
