/* The order in which a snapshot hands out the rows that changed. The store keeps the rows of a
 * partition in the order of their names. In the order of their changes each chunk would lie all
 * over them, and pages would be read, written to the log and copied into the database once per
 * chunk; in their own order each is written about once. */
#include "actors/ordering/partition_state.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>

typedef struct ordered_row {
    row_t *row;
    uint64_t head; /* of the key, behind what all of them begin with: decides nearly always */
    uint32_t producer;
} ordered_row_t;

static slice_t name_of(const ordered_row_t *ordered)
{
    return key_name((const key_entry_t *)ordered->row);
}

static int compare_names(slice_t a, slice_t b)
{
    int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

/* Keys of one producer lie together; in which order producers do changes little. */
static int compare(const void *a, const void *b)
{
    const ordered_row_t *x = a;
    const ordered_row_t *y = b;
    if (x->producer != y->producer) {
        return x->producer < y->producer ? -1 : 1;
    }
    if (x->head != y->head) {
        return x->head < y->head ? -1 : 1;
    }
    return compare_names(name_of(x), name_of(y));
}

/* How many bytes all names begin with. */
static size_t shared_bytes(const ordered_row_t *list, size_t count)
{
    slice_t shared = count > 0 ? name_of(&list[0]) : (slice_t){0};
    for (size_t i = 1; i < count; i++) {
        slice_t name = name_of(&list[i]);
        const uint8_t *bytes = name.data;
        size_t same = 0;
        while (same < shared.size && same < name.size &&
               bytes[same] == ((const uint8_t *)shared.data)[same]) {
            same++;
        }
        shared.size = same;
    }
    return shared.size;
}

static uint64_t head_of(slice_t name, size_t shared)
{
    uint64_t head = 0;
    for (size_t i = shared; i < shared + sizeof head; i++) {
        head = head << 8 | (i < name.size ? ((const uint8_t *)name.data)[i] : 0);
    }
    return head;
}

static void sort(ordered_row_t *list, size_t count)
{
    size_t shared = shared_bytes(list, count);
    for (size_t i = 0; i < count; i++) {
        list[i].head = head_of(name_of(&list[i]), shared);
        list[i].producer = ((const key_entry_t *)list[i].row)->producer;
    }
    qsort(list, count, sizeof *list, compare);
}

void rows_put_in_order(partition_t *self, size_t count)
{
    ordered_row_t *keys = calloc(count, sizeof *keys);
    ENSURE(keys && count <= self->changed_count);
    size_t key_count = 0;
    row_t *others = NULL; /* few, or in an order of their own: they follow as they changed */
    row_t *last = NULL;
    row_t *rest = self->changed_first;
    for (size_t i = 0; i < count; i++, rest = rest->changed_next) {
        if (rest->kind == ROW_KEY) {
            keys[key_count++].row = rest;
        } else {
            *(last ? &last->changed_next : &others) = rest;
            last = rest;
        }
    }
    sort(keys, key_count);
    row_t **link = &self->changed_first;
    for (size_t i = 0; i < key_count; i++) {
        *link = keys[i].row;
        link = &keys[i].row->changed_next;
    }
    *link = others ? others : rest;
    last = last ? last : keys[key_count - 1].row;
    last->changed_next = rest;
    if (!rest) {
        self->changed_last = last;
    }
    free(keys);
}
