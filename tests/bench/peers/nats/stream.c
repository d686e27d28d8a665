/* A durable stream of JetStream in a file: published asynchronously, consumed in pulled batches of
 * which each message is acknowledged by itself. The server answers before it syncs (its
 * sync_interval is two minutes), so that it promises less than ours. */
#include "tests/bench/kit/stream.h"

#include <nats/nats.h>
#include <stdio.h>

enum { PULLED = 256, UNANSWERED_MAX = 4096, UNACKNOWLEDGED_MAX = 65536, PATIENCE_MS = 10000 };

typedef struct link {
    natsConnection *nats;
    jsCtx *stream;
} link_t;

static void must(natsStatus status, const char *what)
{
    if (status != NATS_OK) {
        bench_fail("%s: %s", what, natsStatus_GetText(status));
    }
}

static link_t connect_to(uint64_t port)
{
    link_t self;
    char url[64];
    jsOptions options;
    snprintf(url, sizeof url, "nats://127.0.0.1:%llu", (unsigned long long)port);
    must(natsConnection_ConnectTo(&self.nats, url), url);
    must(jsOptions_Init(&options), "options");
    options.PublishAsync.MaxPending = UNANSWERED_MAX;
    must(natsConnection_JetStream(&self.stream, self.nats, &options), "JetStream");
    return self;
}

static void disconnect(link_t *self)
{
    jsCtx_Destroy(self->stream);
    natsConnection_Destroy(self->nats);
    nats_Close();
}

/* The library gathers what is published into large writes by itself; `batch` says nothing to it. */
static void publish(uint64_t port, uint64_t events, uint64_t batch)
{
    link_t link = connect_to(port);
    char body[STREAM_BODY_BYTES] = {0};
    jsPubOptions wait;
    (void)batch;
    must(jsPubOptions_Init(&wait), "options");
    wait.MaxWait = PATIENCE_MS;
    stream_begin();
    for (uint64_t number = 0; number < events; number++) {
        stream_fill(body, number);
        must(js_PublishAsync(link.stream, "load", body, sizeof body, NULL), "publish");
    }
    must(js_PublishAsyncComplete(link.stream, &wait), "answers");
    disconnect(&link);
}

static natsSubscription *subscribe_to(link_t *link)
{
    const char *subjects[] = {"load"};
    jsStreamConfig stream;
    jsSubOptions options;
    natsSubscription *subscription;
    must(jsStreamConfig_Init(&stream), "options");
    stream.Name = "LOAD";
    stream.Subjects = subjects;
    stream.SubjectsLen = 1;
    stream.Storage = js_FileStorage;
    must(js_AddStream(NULL, link->stream, &stream, NULL, NULL), "stream");
    must(jsSubOptions_Init(&options), "options");
    options.Config.AckPolicy = js_AckExplicit;
    options.Config.MaxAckPending = UNACKNOWLEDGED_MAX;
    must(js_PullSubscribe(&subscription, link->stream, "load", "workers", NULL, &options, NULL),
         "subscribe");
    return subscription;
}

static void consume(uint64_t port, stream_reader_t *reader, void (*ready)(void))
{
    link_t link = connect_to(port);
    natsSubscription *subscription = subscribe_to(&link);
    ready();
    while (reader->count < reader->events) {
        natsMsgList pulled;
        uint64_t left = reader->events - reader->count;
        must(natsSubscription_Fetch(&pulled, subscription, left < PULLED ? (int)left : PULLED,
                                    PATIENCE_MS, NULL),
             "pull");
        for (int i = 0; i < pulled.Count; i++) {
            natsMsg *message = pulled.Msgs[i];
            stream_read(reader, natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message));
            must(natsMsg_Ack(message, NULL), "acknowledge");
        }
        natsMsgList_Destroy(&pulled);
    }
    must(natsConnection_Flush(link.nats), "flush");
    natsSubscription_Destroy(subscription);
    disconnect(&link);
}

int main(int argc, char **argv)
{
    return stream_main(argc, argv, &(stream_sides_t){.publish = publish, .consume = consume});
}
