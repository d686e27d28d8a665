%% The same as runtime/tell.c: senders in bursts of 256, four under way, each acknowledged. The 64
%% bytes are a binary of that size beside the number; a binary of up to 64 bytes is copied with the
%% message, as a body is there. Messages stay off the receiver's heap, which is faster here.
-module(tell).
-export([main/0]).

-define(BURST, 256).
-define(BURSTS_UNDER_WAY, 4).

main() ->
    [Messages, Senders, _] = bench:sizes(),
    Each = Messages div Senders,
    {Figures, {Sum, Latencies}} =
        bench:run(Messages, fun() -> receive_all(Messages, Senders, Each) end),
    bench:expect("sum of the numbers", Sum, Senders * (Each * (Each - 1) div 2)),
    bench:print(Figures ++ bench:quantiles(Latencies)).

receive_all(Messages, Senders, Each) ->
    Self = self(),
    Main = spawn_opt(fun() -> Self ! {result, loop(Messages, 0, [])} end,
                     [{message_queue_data, off_heap}]),
    [spawn(fun() -> sender(Main, Each) end) || _ <- lists:seq(1, Senders)],
    receive {result, Result} -> Result end.

loop(0, Sum, Latencies) ->
    {Sum, Latencies};
loop(Left, Sum, Latencies) ->
    receive
        {load, Number, _Body} ->
            loop(Left - 1, Sum + Number, Latencies);
        {burst_end, Number, Sent, Sender, _Body} ->
            Sender ! acknowledge,
            Latency = erlang:monotonic_time(nanosecond) - Sent,
            loop(Left - 1, Sum + Number, [Latency | Latencies])
    end.

sender(Receiver, Count) ->
    Body = binary:copy(<<"x">>, 56),
    First = lists:foldl(fun(_, Next) -> burst(Receiver, Body, Next) end, 0,
                        lists:seq(1, ?BURSTS_UNDER_WAY)),
    send_rest(Receiver, Body, First, Count).

send_rest(_Receiver, _Body, Count, Count) ->
    ok;
send_rest(Receiver, Body, Next, Count) ->
    receive acknowledge -> ok end,
    send_rest(Receiver, Body, burst(Receiver, Body, Next), Count).

burst(Receiver, Body, First) ->
    Last = First + ?BURST - 1,
    load(Receiver, Body, First, Last),
    Receiver ! {burst_end, Last, erlang:monotonic_time(nanosecond), self(), Body},
    Last + 1.

load(_Receiver, _Body, Last, Last) ->
    ok;
load(Receiver, Body, Number, Last) ->
    Receiver ! {load, Number, Body},
    load(Receiver, Body, Number + 1, Last).
