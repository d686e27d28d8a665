/* Always-on assertions. A false ENSURE is a programming error in this program: it prints the place
 * and aborts. Bad input from outside is never checked with it. */
#ifndef BASE_ENSURE_H
#define BASE_ENSURE_H

#include <stdio.h>
#include <stdlib.h>

#define ENSURE(condition)                                                                          \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0)) {                                                   \
            ensure_failed(#condition, __FILE__, __LINE__);                                         \
        }                                                                                          \
    } while (0)

_Noreturn static inline void ensure_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "capstan: programming error: %s does not hold (%s:%d)\n", condition, file,
            line);
    abort();
}

#endif
