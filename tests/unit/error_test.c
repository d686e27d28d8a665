#include <capstan/error.h>

#include <criterion/criterion.h>

static const capstan_err_t rows[] = {
#define ERROR(name, number, retry_class, text, remedy) CAPSTAN_E_##name,
#include <capstan/errors.def>
#undef ERROR
};
static const size_t count = sizeof rows / sizeof rows[0];

/* Goal: a person who meets an error always reads what it is and what to do. */
Test(error, every_row_has_a_name_a_text_and_a_remedy)
{
    for (size_t i = 0; i < count; i++) {
        cr_assert_str_neq(capstan_err_name(rows[i]), "UNKNOWN", "error %d", (int)rows[i]);
        cr_assert(strlen(capstan_err_text(rows[i])) > 3, "%s", capstan_err_name(rows[i]));
        cr_assert(strlen(capstan_err_remedy(rows[i])) > 3, "%s", capstan_err_name(rows[i]));
    }
}

/* Goal: a number means one error, on the wire too. */
Test(error, numbers_and_names_are_given_once)
{
    for (size_t i = 0; i < count; i++) {
        cr_assert_gt((int)rows[i], 0);
        for (size_t k = i + 1; k < count; k++) {
            cr_assert_neq(rows[i], rows[k]);
            cr_assert_str_neq(capstan_err_name(rows[i]), capstan_err_name(rows[k]));
        }
    }
}

/* Goal: a newer peer's error does not confuse an older program. */
Test(error, unknown_number_is_named_unknown_and_not_retried)
{
    capstan_err_t newer = (capstan_err_t)65000;
    cr_assert_str_eq(capstan_err_name(newer), "UNKNOWN");
    cr_assert_eq(capstan_err_retry(newer), CAPSTAN_RETRY_NEVER);
    cr_assert_str_eq(capstan_err_name(CAPSTAN_OK), "OK");
}
