/* Messages of one's own, seen as a user of the library sees them: the public headers only. */
#include "tests/kit/shop_messages.h"

#include <capstan/message.h>
#include <criterion/criterion.h>
#include <stdlib.h>

static const shop_item_t two_items[] = {
    {.article = {"screw", 5}, .pieces = 100},
    {.article = {"nut \xe2\x82\xac", 7}},
};

/* The encoding of an order with two items. */
static capstan_buffer_t make_order(void)
{
    capstan_buffer_t items = {0};
    capstan_buffer_t body = {0};
    cr_assert_eq(capstan_encode_list(shop_item_wire(), two_items, 2, &items, NULL), CAPSTAN_OK);
    shop_order_t order = {.customer = capstan_slice_text("Ada"),
                          .items = capstan_buffer_slice(&items),
                          .discount = -5,
                          .gift = true,
                          .seal = {"\0\1\2", 3},
                          .reply_to = {.slot = 7, .generation = 3}};
    cr_assert_eq(capstan_encode(shop_order_wire(), &order, &body, NULL), CAPSTAN_OK);
    capstan_buffer_fini(&items);
    return body;
}

Test(message, what_was_encoded_is_decoded_again)
{
    capstan_buffer_t body = make_order();
    shop_order_t order;
    cr_assert_eq(capstan_decode(shop_order_wire(), capstan_buffer_slice(&body), &order, NULL),
                 CAPSTAN_OK);
    cr_assert(order.customer.size == 3 && memcmp(order.customer.data, "Ada", 3) == 0);
    cr_assert(order.seal.size == 3 && memcmp(order.seal.data, "\0\1\2", 3) == 0);
    cr_assert(order.discount == -5 && order.gift);
    cr_assert(capstan_ref_equal(order.reply_to, (capstan_ref_t){.slot = 7, .generation = 3}));

    capstan_list_t list;
    shop_item_t item;
    size_t count = 0;
    cr_assert_eq(capstan_list_open(shop_item_wire(), order.items, &list), CAPSTAN_OK);
    cr_assert_eq(list.left, 2);
    for (; capstan_list_next(&list, &item); count++) {
        cr_assert_eq(item.pieces, two_items[count].pieces);
        cr_assert_eq(item.article.size, two_items[count].article.size);
    }
    cr_assert(count == 2 && list.fault.err == CAPSTAN_OK);
    capstan_buffer_fini(&body);
}

Test(message, absent_fields_cost_no_bytes)
{
    capstan_buffer_t body = {0};
    cr_assert_eq(capstan_encode(shop_closed_wire(), &(shop_closed_t){0}, &body, NULL), CAPSTAN_OK);
    cr_assert_eq(body.size, 1);
    cr_assert_eq(capstan_encode(shop_item_wire(),
                                &(shop_item_t){.article = capstan_slice_text("a")}, &body, NULL),
                 CAPSTAN_OK);
    cr_assert_eq(body.size, 1 + 4, "a second body is appended: map of one, key, text of one");
    capstan_buffer_fini(&body);
}

/* Goal: whoever sends nonsense is told the field, and nobody else's state changed. */
Test(message, a_fault_names_the_field_and_leaves_the_struct_alone)
{
    static const struct {
        const char *bytes;
        size_t size;
        capstan_err_t err;
        const char *text;
    } cases[] = {
        {"\x81\x02\x05", 3, CAPSTAN_E_FIELD_MISSING,
         "field article: a required field is missing, at 3"},
        {"\x81\x01\x05", 3, CAPSTAN_E_FIELD_TYPE,
         "field article: a field has the wrong type, at 2"},
        {"\x81\x01\xa1\xff", 4, CAPSTAN_E_NOT_UTF8, "field article: text is not UTF-8, at 2"},
        {"\x82\x01\xa1"
         "a\x02\xa1"
         "b",
         7, CAPSTAN_E_FIELD_TYPE, "field pieces: a field has the wrong type, at 5"},
        {"\x81\x00\x05", 3, CAPSTAN_E_MALFORMED, "malformed message, at 1"},
        {"", 0, CAPSTAN_E_MALFORMED, "malformed message"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        capstan_fault_t fault = {0};
        char text[96];
        shop_item_t item = {.pieces = 4711};
        capstan_slice_t input = {cases[i].bytes, cases[i].size};
        cr_assert_eq(capstan_decode(shop_item_wire(), input, &item, &fault), cases[i].err, "%zu",
                     i);
        cr_assert_str_eq(capstan_fault_text(&fault, text, sizeof text), cases[i].text);
        cr_assert(item.pieces == 4711 && item.article.data == NULL);
    }
}

Test(message, the_text_of_a_fault_is_cut_to_its_room)
{
    char text[8] = "";
    capstan_fault_t fault = {.err = CAPSTAN_E_NOT_UTF8, .field = "customer", .position = 3};
    cr_assert_str_eq(capstan_fault_text(&fault, text, sizeof text), "field c");
}

static void check_refused(const shop_order_t *order, capstan_buffer_t *out, capstan_err_t err,
                          const char *field)
{
    capstan_fault_t fault = {0};
    capstan_buffer_t before = *out;
    cr_assert_eq(capstan_encode(shop_order_wire(), order, out, &fault), err);
    cr_assert_eq(fault.err, err);
    cr_assert_str_eq(fault.field, field);
    cr_assert_eq(memcmp(&before, out, sizeof before), 0, "nothing was written");
}

/* Goal: what a receiver would refuse is refused where it is made. */
Test(message, a_body_that_nobody_could_read_is_not_encoded)
{
    capstan_slice_t name = capstan_slice_text("Ada");
    capstan_buffer_t out = {0};
    check_refused(&(shop_order_t){.customer = {"\xc3", 1}}, &out, CAPSTAN_E_NOT_UTF8, "customer");
    check_refused(&(shop_order_t){.customer = {NULL, 1}}, &out, CAPSTAN_E_INVALID, "customer");
    check_refused(&(shop_order_t){.customer = name, .seal = {"", (size_t)UINT32_MAX + 1}}, &out,
                  CAPSTAN_E_TOO_LARGE, "seal");
    check_refused(&(shop_order_t){.customer = name, .items = name}, &out, CAPSTAN_E_FIELD_TYPE,
                  "items");
    check_refused(&(shop_order_t){.customer = name, .items = {"\x91\x80\x80", 3}}, &out,
                  CAPSTAN_E_MALFORMED, "items");
    check_refused(&(shop_order_t){.customer = name, .items = {"\x91\x01", 2}}, &out,
                  CAPSTAN_E_FIELD_TYPE, "items");

    capstan_buffer_t list = {0};
    cr_assert_eq(capstan_encode_list(shop_item_wire(), two_items, 2, &list, NULL), CAPSTAN_OK);
    check_refused(&(shop_order_t){.customer = name, .items = capstan_buffer_slice(&list)}, &list,
                  CAPSTAN_E_INVALID, "items");
    capstan_buffer_fini(&list);
}

Test(message, a_bad_element_of_a_list_is_named_by_its_place)
{
    capstan_buffer_t out = {0};
    capstan_fault_t fault;
    shop_item_t items[] = {two_items[0], two_items[1], {.article = {"\xff", 1}}};
    cr_assert_eq(capstan_encode_list(shop_item_wire(), items, 3, &out, &fault), CAPSTAN_E_NOT_UTF8);
    cr_assert(fault.position == 2 && strcmp(fault.field, "article") == 0);
    cr_assert_eq(out.size, 0);
    capstan_buffer_fini(&out);
}

Test(message, a_list_of_none_is_a_list)
{
    capstan_buffer_t out = {0};
    capstan_list_t list;
    shop_item_t item;
    cr_assert_eq(capstan_encode_list(shop_item_wire(), NULL, 0, &out, NULL), CAPSTAN_OK);
    cr_assert_eq(capstan_list_open(shop_item_wire(), capstan_buffer_slice(&out), &list),
                 CAPSTAN_OK);
    cr_assert(!capstan_list_next(&list, &item) && list.fault.err == CAPSTAN_OK);
    capstan_buffer_fini(&out);
}

/* Goal: memory of the caller's, of every size, is filled when it is large enough and otherwise left
 * alone; the bytes are those of a growing buffer. */
Test(message, a_borrowed_buffer_takes_what_fits_exactly)
{
    capstan_buffer_t wanted = make_order();
    shop_order_t order;
    cr_assert_eq(capstan_decode(shop_order_wire(), capstan_buffer_slice(&wanted), &order, NULL),
                 CAPSTAN_OK);
    for (size_t size = 0; size < wanted.size + 300; size++) {
        uint8_t *memory = malloc(size + 1); /* so that a byte too many is seen by a sanitizer */
        memset(memory, 0xee, size + 1);
        capstan_buffer_t out = capstan_buffer_over(memory, size);
        capstan_err_t err = capstan_encode(shop_order_wire(), &order, &out, NULL);
        cr_assert_eq(err, size < wanted.size ? CAPSTAN_E_TOO_LARGE : CAPSTAN_OK, "%zu", size);
        cr_assert_eq(out.size, err ? 0 : wanted.size);
        cr_assert_eq(memcmp(memory, wanted.data, out.size), 0);
        cr_assert_eq(memory[size], 0xee);
        capstan_buffer_fini(&out);
        cr_assert_null(out.data);
        free(memory);
    }
    capstan_buffer_fini(&wanted);
}

Test(message, a_cleared_buffer_keeps_its_memory)
{
    capstan_buffer_t body = make_order();
    uint8_t *data = body.data;
    capstan_buffer_clear(&body);
    cr_assert_eq(capstan_encode(shop_closed_wire(), &(shop_closed_t){0}, &body, NULL), CAPSTAN_OK);
    cr_assert(body.data == data && body.size == 1);
    capstan_buffer_fini(&body);
}

static const capstan_record_t *broken_wire(void)
{
    static const capstan_field_t fields[] = {
        {.key = 2, .type = CAPSTAN_TYPE_UINT, .name = "b", .meaning = "", .offset = 8},
        {.key = 1, .type = CAPSTAN_TYPE_UINT, .name = "a", .meaning = "", .offset = 16}};
    static const capstan_record_t head = {.id = 0x8000,
                                          .kind = CAPSTAN_KIND_EVENT,
                                          .size = 24,
                                          .name = "broken",
                                          .permission = "",
                                          .resource_key = "",
                                          .meaning = ""};
    static capstan_record_t record;
    static bool ready;
    return capstan_record_once(&record, &ready, &head, fields, 2);
}

Test(message, a_row_that_cannot_be_used_is_refused_everywhere)
{
    uint64_t value[3] = {0};
    capstan_buffer_t out = {0};
    capstan_list_t list;
    cr_assert_eq(capstan_encode(broken_wire(), value, &out, NULL), CAPSTAN_E_INVALID);
    cr_assert_eq(capstan_encode_list(broken_wire(), value, 1, &out, NULL), CAPSTAN_E_INVALID);
    cr_assert_eq(capstan_decode(broken_wire(), (capstan_slice_t){"\x80", 1}, value, NULL),
                 CAPSTAN_E_INVALID);
    cr_assert_eq(capstan_list_open(broken_wire(), (capstan_slice_t){"\x90", 1}, &list),
                 CAPSTAN_E_INVALID);
}
