/* A reference to an actor: a value that can be copied, compared and sent.
 *
 * It names one incarnation: when the actor has ended, the reference is stale for ever, and a
 * message to it is answered CAPSTAN_E_GONE. Names are for people; messages carry references. */
#ifndef CAPSTAN_REF_H
#define CAPSTAN_REF_H

#include <stdbool.h>
#include <stdint.h>

typedef struct capstan_ref {
    uint64_t node;       /* the node's random id; 0 is "this node" */
    uint32_t boot;       /* the node's boot counter; 0 with node 0 */
    uint32_t slot;       /* index in the node's actor table */
    uint32_t generation; /* 1 and up; 0 marks the null reference */
} capstan_ref_t;

static inline bool capstan_ref_is_null(capstan_ref_t ref)
{
    return ref.generation == 0;
}

static inline bool capstan_ref_equal(capstan_ref_t a, capstan_ref_t b)
{
    return a.slot == b.slot && a.generation == b.generation && a.node == b.node && a.boot == b.boot;
}

#endif
