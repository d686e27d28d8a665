"""What a case is: programs of the same shape on several sides, and what is asked of the figures."""
import dataclasses


@dataclasses.dataclass(frozen=True, eq=False)
class Goal:
    """`least` and `most` bound our own figures, the ratios are ours to the peer's."""
    text: str
    least: dict = dataclasses.field(default_factory=dict)
    most: dict = dataclasses.field(default_factory=dict)
    ratio_least: float = None
    ratio_most: float = None

    def is_met(self, figures, ratio):
        """`figures` are ours. A figure that is missing meets nothing."""
        least = [(figures.get(name), bound) for name, bound in self.least.items()]
        most = [(figures.get(name), bound) for name, bound in self.most.items()]
        if self.ratio_least is not None:
            least.append((ratio, self.ratio_least))
        if self.ratio_most is not None:
            most.append((ratio, self.ratio_most))
        return all(value is not None and value >= bound for value, bound in least) and \
            all(value is not None and value <= bound for value, bound in most)


@dataclasses.dataclass(frozen=True, eq=False)
class Peer:
    """A side that ours is compared with; the same side may stand in a case in several ways."""
    side: str                # folder of tests/bench/peers
    goal: Goal = None
    label: str = ""          # how it stands there, for people
    arguments: tuple = None  # the case's when not given
    options: tuple = ()      # of the side's virtual machine
    program: str = None      # the case's when not given
    is_ceiling: bool = False  # its ops/s are what the libraries allow


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    bench: str
    name: str
    what: str
    arguments: tuple
    peers: tuple = ()
    goal: Goal = None         # of our own figures, where it belongs to no peer
    metric: str = "ops_per_s"
    program: str = None       # file name on every side; `bench` when not given

    @property
    def full_name(self):
        return f"{self.bench}/{self.name}"


# Figures of which less is better; a ratio of them is good when it is small.
LESS_IS_BETTER = {"p50_us", "p99_us", "p999_us", "bytes_each", "growth"}
