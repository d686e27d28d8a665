/* A view of bytes that someone else owns. It never frees; the comment of the function that hands
 * it out says how long the bytes live. The empty slice is {NULL, 0} or any pointer with size 0. */
#ifndef CAPSTAN_SLICE_H
#define CAPSTAN_SLICE_H

#include <stddef.h>
#include <string.h>

typedef struct capstan_slice {
    const void *data;
    size_t size;
} capstan_slice_t;

/* A view of a C string, without its terminator. */
static inline capstan_slice_t capstan_slice_text(const char *text)
{
    return (capstan_slice_t){text, text ? strlen(text) : 0};
}

#endif
