/* Goal: a definition is drawn so that each of its nodes and ways can be seen, and a saga's states
 * stand beside them; nothing in it can steer a terminal or break the drawing. */
#include "cli/saga_picture.h"

#include "actors/saga/saga.h"
#include "tests/unit/cli/definition_kit.h"

#include <criterion/criterion.h>

static void expect(buffer_t *text, const char *golden)
{
    buffer_append(text, "", 1);
    cr_expect_str_eq((const char *)text->data, golden);
    buffer_fini(text);
}

Test(saga_picture, is_a_tree_for_terminals)
{
    buffer_t text = {0};
    plan_t *plan = definition_kit_plan();
    saga_picture_text(&(saga_picture_t){.plan = plan}, &text);
    expect(&text, "order 2\n"
                  "├─ reserve: stock/reserve, undone by stock/release\n"
                  "├─ parallel\n"
                  "│  ├─ invoice: books/invoice, undone by books/refund\n"
                  "│  └─ route: parcels/route, read\n"
                  "├─ choice\n"
                  "│  └─ when input.amount > 100\n"
                  "│     └─ approval: await\n"
                  "│        ├─ signal approve\n"
                  "│        └─ after 1d\n"
                  "│           └─ end rejected, what was done is undone\n"
                  "├─ loop while input.again == true, at most 3 times\n"
                  "│  └─ sleep 1m30s\n"
                  "├─ parcels: each of input.parcels, 4 at a time, 2 needed\n"
                  "│  └─ pack: stock/pack, undone by stock/unpack\n"
                  "├─ charge: bank/charge, pivot\n"
                  "└─ ship: saga shipping 3\n");
    plan_destroy(&plan);
}

Test(saga_picture, marks_what_a_saga_has_come_to)
{
    buffer_t text = {0};
    plan_t *plan = definition_kit_plan();
    saga_marks_t marks[32] = {0};
    marks[0].of[TASK_OPEN] = 1;
    marks[1].of[TASK_DONE] = 1;
    marks[14].of[TASK_DONE] = 2;
    marks[14].of[TASK_CALLING] = 1;
    saga_picture_t picture = {.plan = plan, .marks = marks, .ascii = true};
    saga_picture_text(&picture, &text);
    buffer_append(&text, "", 1);
    cr_expect(strstr((const char *)text.data, "order 2  [OPEN]\n"
                                              "|- reserve: stock/reserve, undone by "
                                              "stock/release  [DONE]\n"
                                              "|- parallel\n"));
    cr_expect(strstr((const char *)text.data,
                     "|  `- pack: stock/pack, undone by stock/unpack  [1 CALLING, 2 DONE]\n"));
    cr_expect(strstr((const char *)text.data, "`- ship: saga shipping 3\n"));
    buffer_clear(&text);
    picture.colours = true;
    saga_picture_text(&picture, &text);
    buffer_append(&text, "", 1);
    cr_expect(strstr((const char *)text.data, "release  \x1b[32m[DONE]\x1b[0m\n"));
    buffer_fini(&text);
    plan_destroy(&plan);
}

Test(saga_picture, is_a_flowchart_in_mermaid)
{
    buffer_t text = {0};
    plan_t *plan = definition_kit_plan();
    saga_picture_mermaid(&(saga_picture_t){.plan = plan}, &text);
    expect(&text, "flowchart TD\n"
                  "  n0([\"order 2\"])\n"
                  "  n1[\"reserve: stock/reserve, undone by stock/release\"]\n"
                  "  n0 --> n1\n"
                  "  n2{{\"parallel\"}}\n"
                  "  n1 --> n2\n"
                  "  n3[\"invoice: books/invoice, undone by books/refund\"]\n"
                  "  n2 --> n3\n"
                  "  n4[\"route: parcels/route, read\"]\n"
                  "  n2 --> n4\n"
                  "  j2((\" \"))\n"
                  "  n3 --> j2\n"
                  "  n4 --> j2\n"
                  "  n5{\"choice\"}\n"
                  "  j2 --> n5\n"
                  "  n7[/\"approval: await\"/]\n"
                  "  n5 -->|\"when input.amount #62; 100\"| n7\n"
                  "  n10([\"end rejected, what was done is undone\"])\n"
                  "  n7 -->|\"after 1d\"| n10\n"
                  "  n11{\"loop while input.again == true, at most 3 times\"}\n"
                  "  n7 -->|\"signal approve\"| n11\n"
                  "  n5 -->|\"otherwise\"| n11\n"
                  "  n12(\"sleep 1m30s\")\n"
                  "  n11 -->|\"yes\"| n12\n"
                  "  n12 --> n11\n"
                  "  n13{{\"parcels: each of input.parcels, 4 at a time, 2 needed\"}}\n"
                  "  n11 -->|\"no\"| n13\n"
                  "  n14[\"pack: stock/pack, undone by stock/unpack\"]\n"
                  "  n13 -->|\"each item\"| n14\n"
                  "  n14 --> n13\n"
                  "  n15[\"charge: bank/charge, pivot\"]\n"
                  "  n13 -->|\"all\"| n15\n"
                  "  n16[[\"ship: saga shipping 3\"]]\n"
                  "  n15 --> n16\n"
                  "  j0([\"end completed\"])\n"
                  "  n16 --> j0\n"
                  "  classDef pivot stroke-width:3px\n"
                  "  class n15 pivot\n");
    plan_destroy(&plan);
}

Test(saga_picture, colours_a_flowchart_by_states)
{
    buffer_t text = {0};
    plan_t *plan = definition_kit_plan();
    saga_marks_t marks[32] = {0};
    marks[1].of[TASK_UNDONE] = 1;
    marks[3].of[TASK_STUCK] = 1;
    saga_picture_mermaid(&(saga_picture_t){.plan = plan, .marks = marks}, &text);
    buffer_append(&text, "", 1);
    cr_expect(strstr((const char *)text.data, "undone by stock/release<br/>UNDONE\"]\n"));
    cr_expect(strstr((const char *)text.data, "  class n1 undone\n  class n3 failed\n"));
    buffer_fini(&text);
    plan_destroy(&plan);
}

Test(saga_picture, escapes_what_a_stranger_wrote)
{
    static const char hostile[] = "\x1b[2J\"]<b>";
    plan_node_t nodes[] = {
        {.kind = PLAN_SEQUENCE, .parent = PLAN_NONE, .first = 1, .next = PLAN_NONE},
        {.kind = PLAN_END, .first = PLAN_NONE, .next = PLAN_NONE, .outcome = slice_text(hostile)},
    };
    plan_t plan = {.name = slice_text("x"), .version = 1, .nodes = nodes, .count = 2};
    buffer_t text = {0};
    saga_picture_text(&(saga_picture_t){.plan = &plan, .ascii = true}, &text);
    expect(&text, "x 1\n`- end \\u001b[2J\\\"]<b>\n");
    saga_picture_mermaid(&(saga_picture_t){.plan = &plan}, &text);
    buffer_append(&text, "", 1);
    cr_expect(strstr((const char *)text.data, "n1([\"end  [2J#34;]#60;b#62;\"])\n"));
    buffer_fini(&text);
}
