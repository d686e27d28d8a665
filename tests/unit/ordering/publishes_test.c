/* What is gathered comes out again, and nothing behind a damaged end. */
#include "actors/ordering/ordering_messages.h"

#include <criterion/criterion.h>
#include <stdio.h>

Test(publishes, hands_out_what_was_added_in_its_order)
{
    buffer_t batch = {0};
    char body[16];
    for (uint64_t i = 0; i < 100; i++) {
        publishes_add(&batch, i * 3, slice_of(body, (size_t)snprintf(body, 16, "%d", (int)i)));
    }
    slice_t rows = buffer_slice(&batch);
    uint64_t sequence;
    slice_t found;
    for (uint64_t i = 0; i < 100; i++) {
        cr_assert(publishes_next(&rows, &sequence, &found));
        cr_assert_eq(sequence, i * 3);
        cr_assert(slice_equal(found, slice_of(body, (size_t)snprintf(body, 16, "%d", (int)i))));
    }
    cr_assert_not(publishes_next(&rows, &sequence, &found));
    buffer_clear(&batch);
    rows = buffer_slice(&batch);
    cr_assert_not(publishes_next(&rows, &sequence, &found));
    buffer_fini(&batch);
}

Test(publishes, a_row_that_is_cut_off_is_none)
{
    buffer_t batch = {0};
    publishes_add(&batch, 1, slice_text("hello"));
    uint64_t sequence;
    slice_t found;
    for (size_t size = 0; size < batch.size; size++) {
        slice_t rows = slice_of(batch.data, size);
        cr_assert_not(publishes_next(&rows, &sequence, &found));
    }
    buffer_fini(&batch);
}
