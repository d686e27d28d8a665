/* What the parts above the runtime keep with a node, so that it lives as long as the node. */
#include "runtime/node_internal.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>
#include <string.h>

struct kept {
    kept_t *next;
    void *data;
    node_release_fn *release;
    char name[];
};

static void *find(const capstan_node_t *self, const char *name)
{
    const kept_t *kept = self->kept;
    while (kept && strcmp(kept->name, name) != 0) {
        kept = kept->next;
    }
    return kept ? kept->data : NULL;
}

void *node_kept(capstan_node_t *self, const char *name)
{
    pthread_mutex_lock(&self->mutex);
    void *data = find(self, name);
    pthread_mutex_unlock(&self->mutex);
    return data;
}

void *node_keep(capstan_node_t *self, const char *name, void *data, node_release_fn *release)
{
    size_t size = strlen(name) + 1;
    pthread_mutex_lock(&self->mutex);
    void *there = find(self, name);
    if (!there) {
        kept_t *kept = malloc(sizeof *kept + size);
        ENSURE(kept);
        *kept = (kept_t){.next = self->kept, .data = data, .release = release};
        memcpy(kept->name, name, size);
        self->kept = kept;
    }
    pthread_mutex_unlock(&self->mutex);
    return there ? there : data;
}

void kept_free_all(kept_t *first)
{
    while (first) {
        kept_t *next = first->next;
        first->release(first->data);
        free(first);
        first = next;
    }
}
