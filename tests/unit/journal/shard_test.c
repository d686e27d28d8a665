/* Goal: a stream's shard is part of what is stored; it must never change. */
#include "actors/journal/store_internal.h"

#include <criterion/criterion.h>

Test(shard, of_a_stream_is_the_hash_of_its_name_for_ever)
{
    /* XXH64 with seed 0, low byte, of "ordering/orders/0" and so on, from another implementation.
     */
    static const struct {
        const char *instance;
        uint64_t shard;
    } rows[] = {{"orders/0", 125}, {"orders/1", 199}, {"loans/15", 218}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_assert_eq(stream_shard(slice_text("ordering"), slice_text(rows[i].instance)),
                     rows[i].shard, "%s", rows[i].instance);
    }
}

Test(shard, checksum_of_a_row_depends_on_its_place)
{
    slice_t records = slice_text("the same bytes");
    cr_assert_neq(log_checksum(records, 1), log_checksum(records, 2));
    const snapshot_row_t a = {.key = slice_text("a"), .value = records};
    const snapshot_row_t b = {.key = slice_text("b"), .value = records};
    cr_assert_neq(snapshot_checksum(&a), snapshot_checksum(&b));
}
