/* What a partition owes: in order, and not before what it depends on is on disk. */
#include "actors/ordering/answers.h"

#include <criterion/criterion.h>

Test(answers, wait_for_the_lsn_they_depend_on_and_keep_their_order)
{
    answers_t answers = {0};
    answer_t answer;
    for (uint64_t i = 1; i <= 1000; i++) {
        answers_add(&answers, &(answer_t){.correlation = i, .lsn = i / 10});
        if (i % 3 == 0) {
            cr_assert(answers_take(&answers, i / 10, &answer));
            cr_assert_eq(answer.correlation, i / 3);
        }
    }
    for (uint64_t i = 1000 / 3 + 1; i <= 500; i++) {
        cr_assert(answers_take(&answers, 50, &answer));
        cr_assert_eq(answer.correlation, i);
    }
    cr_assert(answers_take(&answers, 50, &answer));
    while (answers_take(&answers, 50, &answer)) {
        cr_assert_leq(answer.lsn, 50);
    }
    cr_assert(!answers_take(&answers, 50, &answer));
    cr_assert(answers_take(&answers, 51, &answer));
    cr_assert_eq(answer.lsn, 51);
    answers_fini(&answers);
}
