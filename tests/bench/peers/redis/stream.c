/* A stream of Redis, whose log is synced before it answers: published in pipelines, consumed by a
 * member of a group that acknowledges what it has read. */
#include "tests/bench/kit/stream.h"

#include <hiredis/hiredis.h>
#include <stdio.h>

enum { PIPELINES_MAX = 16 /* that await answers */, READ_MAX = 256 };

static redisContext *connect_to(uint64_t port)
{
    redisContext *redis = redisConnect("127.0.0.1", (int)port);
    if (!redis || redis->err) {
        bench_fail("connect: %s", redis ? redis->errstr : "no memory");
    }
    return redis;
}

/* The caller frees it. */
static redisReply *take_reply(redisContext *redis)
{
    void *reply = NULL;
    if (redisGetReply(redis, &reply) != REDIS_OK) {
        bench_fail("no answer: %s", redis->errstr);
    }
    redisReply *typed = reply;
    if (typed->type == REDIS_REPLY_ERROR) {
        bench_fail("%s", typed->str);
    }
    return typed;
}

static void send_all(redisContext *redis)
{
    for (int done = 0; !done;) {
        if (redisBufferWrite(redis, &done) != REDIS_OK) {
            bench_fail("send: %s", redis->errstr);
        }
    }
}

static void await_answers(redisContext *redis, uint64_t *unanswered, uint64_t most)
{
    for (; *unanswered > most; --*unanswered) {
        freeReplyObject(take_reply(redis));
    }
}

static void publish(uint64_t port, uint64_t events, uint64_t batch)
{
    redisContext *redis = connect_to(port);
    char body[STREAM_BODY_BYTES] = {0};
    const char *command[] = {"XADD", "load", "*", "body", body};
    const size_t sizes[] = {4, 4, 1, 4, sizeof body};
    uint64_t unanswered = 0;
    stream_begin();
    for (uint64_t number = 0; number < events; number++) {
        stream_fill(body, number);
        redisAppendCommandArgv(redis, 5, command, sizes);
        unanswered++;
        if (number % batch == batch - 1) {
            send_all(redis);
            await_answers(redis, &unanswered, (PIPELINES_MAX - 1) * batch);
        }
    }
    await_answers(redis, &unanswered, 0);
    redisFree(redis);
}

/* [[stream, [[id, [name, body]], ...]]]; acknowledges all of them with one command. */
static void consume_entries(redisContext *redis, const redisReply *streams, stream_reader_t *reader)
{
    const redisReply *entries = streams->element[0]->element[1];
    const char *command[3 + READ_MAX] = {"XACK", "load", "workers"};
    size_t sizes[3 + READ_MAX] = {4, 4, 7};
    for (size_t i = 0; i < entries->elements; i++) {
        const redisReply *id = entries->element[i]->element[0];
        const redisReply *body = entries->element[i]->element[1]->element[1];
        stream_read(reader, body->str, (size_t)body->len);
        command[3 + i] = id->str;
        sizes[3 + i] = (size_t)id->len;
    }
    redisAppendCommandArgv(redis, (int)(3 + entries->elements), command, sizes);
    freeReplyObject(take_reply(redis));
}

static void consume(uint64_t port, stream_reader_t *reader, void (*ready)(void))
{
    redisContext *redis = connect_to(port);
    redisAppendCommand(redis, "XGROUP CREATE load workers 0 MKSTREAM");
    freeReplyObject(take_reply(redis));
    ready();
    while (reader->count < reader->events) {
        redisAppendCommand(
            redis, "XREADGROUP GROUP workers one COUNT %d BLOCK 10000 STREAMS load >", READ_MAX);
        redisReply *streams = take_reply(redis);
        if (streams->type == REDIS_REPLY_NIL) {
            bench_fail("events stopped coming");
        }
        consume_entries(redis, streams, reader);
        freeReplyObject(streams);
    }
    redisFree(redis);
}

int main(int argc, char **argv)
{
    return stream_main(argc, argv, &(stream_sides_t){.publish = publish, .consume = consume});
}
