/* The part of Criterion's interface that our tests use, for builds in which Criterion cannot start
 * its tests (ThreadSanitizer). The sources of the tests are the same; plain_runner.c runs them. */
#ifndef PLAIN_RUNNER_CRITERION_H
#define PLAIN_RUNNER_CRITERION_H

#pragma GCC system_header

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct plain_options {
    int sentinel_; /* makes an empty list of options a legal initialiser */
    void (*init)(void);
    void (*fini)(void);
    double timeout; /* seconds; 0: the suite's, or the runner's */
    int signal;     /* the test has to end by this signal */
    int exit_code;  /* the test has to end with this status */
    bool disabled;
    const char *description;
} plain_options_t;

typedef struct plain_test {
    struct plain_test *next;
    const char *suite;
    const char *name; /* NULL: the suite's own options */
    void (*body)(void);
    plain_options_t options;
} plain_test_t;

void plain_register(plain_test_t *test);
void plain_check(bool holds, bool fatal, const char *what, const char *file, int line,
                 const char *format, ...);
_Noreturn void plain_skip(const char *format, ...);
void plain_log(const char *level, const char *format, ...);

#define PLAIN_ROW(id_, suite_, name_, body_, ...)                                                  \
    __attribute__((constructor)) static void id_##_register(void)                                  \
    {                                                                                              \
        static plain_test_t row = {                                                                \
            .suite = suite_, .name = name_, .body = body_, .options = {__VA_ARGS__}};              \
        plain_register(&row);                                                                      \
    }
#define PLAIN_TEST(suite_, name_, ...)                                                             \
    static void suite_##_##name_##_body(void);                                                     \
    PLAIN_ROW(suite_##_##name_, #suite_, #name_, suite_##_##name_##_body, __VA_ARGS__)             \
    static void suite_##_##name_##_body(void)
#define PLAIN_SUITE(suite_, ...)                                                                   \
    PLAIN_ROW(suite_##_suite, #suite_, NULL, NULL, __VA_ARGS__)                                    \
    struct plain_options

#define Test(...)      PLAIN_TEST(__VA_ARGS__, .sentinel_ = 0)
#define TestSuite(...) PLAIN_SUITE(__VA_ARGS__, .sentinel_ = 0)

/* The message of an assertion may be left out: a NULL at the end takes its place. */
#define PLAIN_CHECK(fatal, what, holds, ...)                                                       \
    plain_check((holds) ? true : false, fatal, what, __FILE__, __LINE__, __VA_ARGS__)
#define PLAIN_TRUE(fatal, x, ...)  PLAIN_CHECK(fatal, #x, x, __VA_ARGS__)
#define PLAIN_FALSE(fatal, x, ...) PLAIN_CHECK(fatal, "not " #x, !(x), __VA_ARGS__)
#define PLAIN_NULL(fatal, x, ...)  PLAIN_CHECK(fatal, #x " is NULL", (x) == NULL, __VA_ARGS__)
#define PLAIN_SOME(fatal, x, ...)  PLAIN_CHECK(fatal, #x " is not NULL", (x) != NULL, __VA_ARGS__)
#define PLAIN_COMPARE(fatal, relation, a, b, ...)                                                  \
    PLAIN_CHECK(fatal, #a " " #relation " " #b, (a)relation(b), __VA_ARGS__)
#define PLAIN_STRING(fatal, relation, a, b, ...)                                                   \
    PLAIN_CHECK(fatal, #a " " #relation " " #b, strcmp(a, b) relation 0, __VA_ARGS__)
#define PLAIN_EMPTY(fatal, relation, x, ...)                                                       \
    PLAIN_CHECK(fatal, #x " " #relation " \"\"", (x)[0] relation '\0', __VA_ARGS__)
#define PLAIN_ARRAY(fatal, relation, a, b, size, ...)                                              \
    PLAIN_CHECK(fatal, #a " " #relation " " #b, memcmp(a, b, size) relation 0, __VA_ARGS__)
#define PLAIN_FLOAT(fatal, relation, a, b, epsilon, ...)                                           \
    PLAIN_CHECK(fatal, #a " is near " #b, fabs((double)(a) - (double)(b)) relation(epsilon),       \
                __VA_ARGS__)
#define PLAIN_FAIL(fatal, ...) plain_check(false, fatal, "fail", __FILE__, __LINE__, __VA_ARGS__)

#define cr_assert(...)               PLAIN_TRUE(true, __VA_ARGS__, NULL)
#define cr_assert_not(...)           PLAIN_FALSE(true, __VA_ARGS__, NULL)
#define cr_assert_null(...)          PLAIN_NULL(true, __VA_ARGS__, NULL)
#define cr_assert_not_null(...)      PLAIN_SOME(true, __VA_ARGS__, NULL)
#define cr_assert_eq(...)            PLAIN_COMPARE(true, ==, __VA_ARGS__, NULL)
#define cr_assert_neq(...)           PLAIN_COMPARE(true, !=, __VA_ARGS__, NULL)
#define cr_assert_lt(...)            PLAIN_COMPARE(true, <, __VA_ARGS__, NULL)
#define cr_assert_leq(...)           PLAIN_COMPARE(true, <=, __VA_ARGS__, NULL)
#define cr_assert_gt(...)            PLAIN_COMPARE(true, >, __VA_ARGS__, NULL)
#define cr_assert_geq(...)           PLAIN_COMPARE(true, >=, __VA_ARGS__, NULL)
#define cr_assert_str_eq(...)        PLAIN_STRING(true, ==, __VA_ARGS__, NULL)
#define cr_assert_str_neq(...)       PLAIN_STRING(true, !=, __VA_ARGS__, NULL)
#define cr_assert_str_empty(...)     PLAIN_EMPTY(true, ==, __VA_ARGS__, NULL)
#define cr_assert_str_not_empty(...) PLAIN_EMPTY(true, !=, __VA_ARGS__, NULL)
#define cr_assert_arr_eq(...)        PLAIN_ARRAY(true, ==, __VA_ARGS__, NULL)
#define cr_assert_arr_neq(...)       PLAIN_ARRAY(true, !=, __VA_ARGS__, NULL)
#define cr_assert_float_eq(...)      PLAIN_FLOAT(true, <=, __VA_ARGS__, NULL)
#define cr_assert_float_neq(...)     PLAIN_FLOAT(true, >, __VA_ARGS__, NULL)
#define cr_assert_fail(...)          PLAIN_FAIL(true, __VA_ARGS__ __VA_OPT__(, ) NULL)
#define cr_fatal(...)                PLAIN_FAIL(true, __VA_ARGS__ __VA_OPT__(, ) NULL)

#define cr_expect(...)               PLAIN_TRUE(false, __VA_ARGS__, NULL)
#define cr_expect_not(...)           PLAIN_FALSE(false, __VA_ARGS__, NULL)
#define cr_expect_null(...)          PLAIN_NULL(false, __VA_ARGS__, NULL)
#define cr_expect_not_null(...)      PLAIN_SOME(false, __VA_ARGS__, NULL)
#define cr_expect_eq(...)            PLAIN_COMPARE(false, ==, __VA_ARGS__, NULL)
#define cr_expect_neq(...)           PLAIN_COMPARE(false, !=, __VA_ARGS__, NULL)
#define cr_expect_lt(...)            PLAIN_COMPARE(false, <, __VA_ARGS__, NULL)
#define cr_expect_leq(...)           PLAIN_COMPARE(false, <=, __VA_ARGS__, NULL)
#define cr_expect_gt(...)            PLAIN_COMPARE(false, >, __VA_ARGS__, NULL)
#define cr_expect_geq(...)           PLAIN_COMPARE(false, >=, __VA_ARGS__, NULL)
#define cr_expect_str_eq(...)        PLAIN_STRING(false, ==, __VA_ARGS__, NULL)
#define cr_expect_str_neq(...)       PLAIN_STRING(false, !=, __VA_ARGS__, NULL)
#define cr_expect_str_empty(...)     PLAIN_EMPTY(false, ==, __VA_ARGS__, NULL)
#define cr_expect_str_not_empty(...) PLAIN_EMPTY(false, !=, __VA_ARGS__, NULL)
#define cr_expect_arr_eq(...)        PLAIN_ARRAY(false, ==, __VA_ARGS__, NULL)
#define cr_expect_arr_neq(...)       PLAIN_ARRAY(false, !=, __VA_ARGS__, NULL)
#define cr_expect_float_eq(...)      PLAIN_FLOAT(false, <=, __VA_ARGS__, NULL)
#define cr_expect_float_neq(...)     PLAIN_FLOAT(false, >, __VA_ARGS__, NULL)
#define cr_expect_fail(...)          PLAIN_FAIL(false, __VA_ARGS__ __VA_OPT__(, ) NULL)
#define cr_fail(...)                 PLAIN_FAIL(false, __VA_ARGS__ __VA_OPT__(, ) NULL)

#define cr_skip_test(...) plain_skip(__VA_ARGS__ __VA_OPT__(, ) NULL)
#define cr_skip(...)      plain_skip(__VA_ARGS__ __VA_OPT__(, ) NULL)

#define cr_log_info(...)  plain_log("info", __VA_ARGS__)
#define cr_log_warn(...)  plain_log("warning", __VA_ARGS__)
#define cr_log_error(...) plain_log("error", __VA_ARGS__)

#endif
