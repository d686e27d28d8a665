#include "cli/tail_from.h"

#include <criterion/criterion.h>
#include <string.h>

static bool parse(tail_from_t *ret_from, char text[256], size_t count, const char *const *words)
{
    option_list_t list = {.count = count};
    for (size_t i = 0; i < count; i++) {
        list.items[i] = words[i];
    }
    return tail_from_parse(&list, ret_from, text, 256);
}

#define PARSE(from, text, ...)                                                                     \
    parse((from), (text), sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *),            \
          (const char *[]){__VA_ARGS__})

Test(tail_from, reads_words_times_groups_and_offsets)
{
    tail_from_t from;
    char text[256];
    cr_assert(parse(&from, text, 0, NULL));
    cr_assert_eq(from.from, 1);
    cr_assert(PARSE(&from, text, "earliest"));
    cr_assert_eq(from.from, 1);
    cr_assert(PARSE(&from, text, "latest"));
    cr_assert_eq(from.from, 2);
    cr_assert(PARSE(&from, text, "2012-01-01T00:00:00.000001Z"));
    cr_assert_eq(from.from, 3);
    cr_assert_eq(from.time_us, INT64_C(1325376000000001));
    cr_assert(PARSE(&from, text, "group:a:b"));
    cr_assert_eq(from.from, 4);
    cr_assert_str_eq(from.group, "a:b");
    cr_assert(PARSE(&from, text, "3:1500", "latest", "0:1"));
    cr_assert_eq(from.from, 2);
    cr_assert(from.named[3] && from.named[0] && !from.named[1]);
    cr_assert_eq(from.behind[3], 1499);
    cr_assert_eq(from.behind[0], 0);
}

Test(tail_from, says_which_word_is_wrong_and_why)
{
    static const struct {
        const char *words[2];
        const char *text;
    } cases[] = {
        {{"beginning"}, "--from beginning: earliest, latest, PARTITION:OFFSET"},
        {{"group:"}, "--from group:: earliest"},
        {{"3:"}, "--from 3:: earliest"},
        {{":3"}, "--from :3: earliest"},
        {{"3:-1"}, "--from 3:-1: earliest"},
        {{"3:99999999999999999999"}, "--from 3:99999999999999999999: earliest"},
        {{"3:0"}, "--from 3:0: offsets begin with 1"},
        {{"256:1"}, "--from 256:1: a topic has partitions 0 to 255"},
        {{"3:1", "3:2"}, "--from 3:2: the partition was given before"},
        {{"latest", "2012-01-01"}, "--from 2012-01-01: only places of partitions"},
        {{"2012-13-01"}, "--from 2012-13-01: earliest"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tail_from_t from;
        char text[256];
        cr_assert_not(parse(&from, text, cases[i].words[1] ? 2 : 1, cases[i].words));
        cr_assert_eq(strncmp(text, cases[i].text, strlen(cases[i].text)), 0, "%s", text);
    }
}
