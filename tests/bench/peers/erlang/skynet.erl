%% The same as runtime/skynet.c.
-module(skynet).
-export([main/0]).

-define(CHILDREN, 10).

main() ->
    [Leaves] = bench:sizes(),
    {Figures, Sum} = bench:run(actors(Leaves), fun() -> root(Leaves) end),
    bench:expect("sum of the leaves", Sum, Leaves * (Leaves - 1) div 2),
    bench:print(Figures).

actors(0) -> 0;
actors(Leaves) -> Leaves + actors(Leaves div ?CHILDREN).

root(Leaves) ->
    start(self(), 0, Leaves),
    receive Sum -> Sum end.

start(Parent, First, Leaves) ->
    spawn(fun() -> skynet(Parent, First, Leaves) end).

skynet(Parent, First, 1) ->
    Parent ! First;
skynet(Parent, First, Leaves) ->
    Each = Leaves div ?CHILDREN,
    Self = self(),
    [start(Self, First + I * Each, Each) || I <- lists:seq(0, ?CHILDREN - 1)],
    Parent ! sum(?CHILDREN, 0).

sum(0, Sum) -> Sum;
sum(Waiting, Sum) ->
    receive Part -> sum(Waiting - 1, Sum + Part) end.
