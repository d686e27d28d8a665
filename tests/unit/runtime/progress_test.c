/* Goal: from looks alone, a handler is told to be slow when it is and never otherwise; states
 * follow the table, of which every row is taken. */
#include "runtime/progress.h"

#include <criterion/criterion.h>
#include <string.h>

enum { LOOK_US = 5000, STALL_US = 10000, HUNG_US = 1000000, REPORT_US = 100000 };

static const progress_limits_t limits = {
    .stall_us = STALL_US, .hung_us = HUNG_US, .report_us = REPORT_US};

static progress_news_t look(progress_t *cell, uint64_t handler)
{
    return progress_look(cell, &limits,
                         &(progress_look_t){.handler = handler, .passed_us = LOOK_US});
}

Test(progress, tells_a_handler_once_and_again_when_it_has_returned)
{
    progress_t cell = {0};
    int stalled = 0;
    cr_assert_eq(look(&cell, 7).event, PROGRESS_NOTHING);
    for (int i = 0; i < 30; i++) {
        progress_news_t news = look(&cell, 7);
        cr_assert_neq(news.event, PROGRESS_WENT_ON);
        if (news.event == PROGRESS_STALLED) {
            stalled++;
            cr_assert_eq(news.age_us, STALL_US);
        }
    }
    cr_assert_eq(stalled, 1);
    progress_news_t news = look(&cell, 0);
    cr_assert_eq(news.event, PROGRESS_WENT_ON);
    cr_assert_eq(news.age_us, 30 * LOOK_US);
    cr_assert_eq(look(&cell, 0).event, PROGRESS_NOTHING);
    cr_assert_eq(cell.stalls, 1);
}

Test(progress, says_nothing_of_handlers_that_return_in_time_however_many_there_are)
{
    progress_t cell = {0};
    for (uint64_t handler = 1; handler < 10000; handler++) {
        cr_assert_eq(look(&cell, handler).event, PROGRESS_NOTHING);
        cr_assert_eq(look(&cell, handler).event, PROGRESS_NOTHING);
    }
    cr_assert_eq(cell.stalls, 0);
    cr_assert_eq(cell.state, CELL_STATE_live);
}

Test(progress, counts_only_time_that_passed_for_the_thread)
{
    progress_t cell = {0};
    for (int i = 0; i < 1000; i++) {
        progress_news_t news =
            progress_look(&cell, &limits, &(progress_look_t){.handler = 7, .passed_us = 0});
        cr_assert_eq(news.event, PROGRESS_NOTHING);
    }
    cr_assert_eq(cell.state, CELL_STATE_live);
}

Test(progress, tells_not_too_often_and_how_many_it_left_out)
{
    progress_t cell = {0};
    int told = 0;
    uint64_t untold = 0;
    enum { STALLS = 1000, LOOKS_EACH = 4 };
    for (uint64_t handler = 1; handler <= STALLS; handler++) {
        for (int i = 0; i < LOOKS_EACH; i++) {
            progress_news_t news = look(&cell, handler);
            told += news.event == PROGRESS_STALLED;
            untold += news.event == PROGRESS_STALLED ? news.untold : 0;
        }
    }
    cr_assert_eq(cell.stalls, STALLS);
    cr_assert_leq(told, STALLS * LOOKS_EACH * LOOK_US / REPORT_US + 1);
    cr_assert_geq(told, STALLS * LOOKS_EACH * LOOK_US / REPORT_US / 2);
    cr_assert_eq((uint64_t)told + untold + cell.untold, STALLS);
}

Test(progress, tells_a_stall_that_it_had_to_leave_out_when_it_goes_on)
{
    progress_t cell = {0};
    look(&cell, 1);
    look(&cell, 1);
    cr_assert_eq(look(&cell, 1).event, PROGRESS_STALLED);
    cr_assert_eq(look(&cell, 2).event, PROGRESS_WENT_ON);
    int told = 0;
    for (int i = 0; i < REPORT_US / LOOK_US + 1; i++) {
        progress_news_t news = look(&cell, 2);
        told += news.event == PROGRESS_STALLED;
        cr_assert(news.event == PROGRESS_NOTHING || news.age_us >= STALL_US);
    }
    cr_assert_eq(told, 1);
    cr_assert_eq(cell.stalls, 2);
}

/* --- states ---------------------------------------------------------------------------------- */

typedef struct seen {
    bool step[CELL_STATE_COUNT][CELL_STATE_COUNT];
    cell_state_t before;
} seen_t;

static void step(progress_t *cell, seen_t *seen, progress_look_t next)
{
    next.passed_us = LOOK_US;
    cell_state_t before = cell->state;
    progress_look(cell, &limits, &next);
    seen->step[before][cell->state] = true;
}

static void hang(progress_t *cell, seen_t *seen, uint64_t handler)
{
    for (int i = 0; i <= HUNG_US / LOOK_US; i++) {
        step(cell, seen, (progress_look_t){.handler = handler});
    }
    cr_assert_eq(cell->state, CELL_STATE_hung);
}

Test(progress, is_busy_in_a_long_turn_and_hung_in_a_long_handler)
{
    seen_t seen = {0};
    progress_t cell = {0};
    progress_look_t long_turn = {.turn_us = STALL_US + 1};
    step(&cell, &seen, (progress_look_t){.turn_us = STALL_US});
    cr_assert_eq(cell.state, CELL_STATE_live);
    step(&cell, &seen, long_turn);
    cr_assert_eq(cell.state, CELL_STATE_busy);
    step(&cell, &seen, (progress_look_t){.turn_us = 0});
    cr_assert_eq(cell.state, CELL_STATE_live);
    hang(&cell, &seen, 1);
    step(&cell, &seen, long_turn);
    cr_assert_eq(cell.state, CELL_STATE_busy);
    hang(&cell, &seen, 2);
    step(&cell, &seen, (progress_look_t){.turn_us = 0});
    cr_assert_eq(cell.state, CELL_STATE_live);
}

Test(progress, is_dead_for_ever_when_its_thread_has_ended)
{
    seen_t seen = {0};
    for (int from = 0; from < 3; from++) {
        progress_t cell = {0};
        if (from == 1) {
            step(&cell, &seen, (progress_look_t){.turn_us = STALL_US + 1});
        } else if (from == 2) {
            hang(&cell, &seen, 1);
        }
        step(&cell, &seen, (progress_look_t){.ended = true, .handler = 1});
        cr_assert_eq(cell.state, CELL_STATE_dead);
        step(&cell, &seen, (progress_look_t){.ended = true, .handler = 1});
        cr_assert_eq(cell.state, CELL_STATE_dead);
        cr_assert(seen.step[from][CELL_STATE_dead]);
    }
}

/* A look with a limit of hung below that of a stall goes from live to hung at once. */
Test(progress, takes_no_step_that_is_no_row_and_every_row)
{
    static const progress_limits_t limit_sets[] = {
        {.stall_us = 2 * LOOK_US, .hung_us = 4 * LOOK_US, .report_us = 1},
        {.stall_us = 4 * LOOK_US, .hung_us = 2 * LOOK_US, .report_us = 1},
    };
    bool rows[CELL_STATE_COUNT][CELL_STATE_COUNT] = {{false}};
#define STATE(name, meaning)
#define INPUT(name, meaning)
#define TRANSITION(from, input, to, meaning) rows[CELL_STATE_##from][CELL_STATE_##to] = true;
#include "runtime/cell_states.def"
#undef STATE
#undef INPUT
#undef TRANSITION
    bool seen[CELL_STATE_COUNT][CELL_STATE_COUNT] = {{false}};
    uint64_t random = 88172645463325252u;
    for (int run = 0; run < 1000; run++) {
        progress_t cell = {0};
        uint64_t handler = 1;
        for (int i = 0; i < 200; i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            handler += random % 4 == 0;
            bool ended = cell.state == CELL_STATE_dead || random % 97 == 0;
            cell_state_t before = cell.state;
            progress_look(&cell, &limit_sets[run % 2],
                          &(progress_look_t){.ended = ended,
                                             .handler = random % 5 == 0 ? 0 : handler,
                                             .turn_us = (int64_t)(random >> 8 & 3) * 3 * LOOK_US,
                                             .passed_us = LOOK_US});
            cr_assert(rows[before][cell.state], "%s to %s", cell_state_name(before),
                      cell_state_name(cell.state));
            seen[before][cell.state] = true;
        }
    }
    cr_assert_arr_eq(seen, rows, sizeof rows);
}
