"""Flags, flagfiles, sweeps and lists of settings from anywhere; 3,000 cases drawn.

Each is parsed within its bounds or refused in a line. W2V_JAX_FUZZ=N draws N times as many.
"""

import pytest
from absl import flags
from fuzzing import BYTES, EDITS, PIECES, TEXT, cases, drawn, one_line, tampered
from hypothesis import example, given
from hypothesis import strategies as st
from messages import told

from experiments.cli import config, flag_lines, flag_types
from experiments.sweeps import design
from w2v_jax.types import UserError

NAMES = [*design._FIELDS, "seeds", "design", "points", "sweep", "flagfile", "undefok", "no", ""]
VALUE = st.one_of(
    st.sampled_from(["0", "1", "2.5", "-1", "nan", "inf", "1e400", "1e9", "9" * 400, "true", ""]),
    st.sampled_from(["uniform(1,2)", "log_uniform(.1,9)", "uniform(nan,1)", "adam,sgd", "1,1"]),
    st.sampled_from([piece.decode(errors="replace") for piece in PIECES]),
    TEXT,
)
SWEEP = st.tuples(
    st.sampled_from(NAMES),
    st.sampled_from(["=", "==", " = ", "", "=\n"]),
    st.lists(VALUE, max_size=3),
).map(lambda parts: parts[0] + parts[1] + ",".join(parts[2]))


def test_so_many_cases_are_drawn():
    assert drawn[__name__] == 3000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("flags")


@pytest.fixture(scope="module", autouse=True)
def defined():
    """The flags of a sweep, for all the module's tests."""
    before = set(flags.FLAGS)
    config.define_flags(model="skipgram")
    design.define_flags()
    flags.DEFINE_list("sizes", [], "")
    yield
    for name in set(flags.FLAGS) - before:
        delattr(flags.FLAGS, name)


def parse(*args):
    """Flags as a script takes them: UserError for what absl refuses."""
    flags.FLAGS.unparse_flags()
    try:
        return flags.FLAGS(["script", *flag_lines.expanded(args)])
    except (flags.Error, ValueError) as error:  # ValueError: --noplots=3, or not UTF-8
        raise UserError(" ".join(str(error).split())) from error


def refused_or(call):
    try:
        return call()
    except UserError as error:
        text = str(error)
        assert len(text.splitlines()) == 1, text
        return None


def check_values(settings):
    for name, value in settings.items():
        field = design._FIELDS[name]
        assert name not in design.REFUSED and type(value) is field.type
        low, high = field.metadata["low"], field.metadata["high"]
        assert low is None or value >= low
        assert high is None or value <= high
        assert not field.metadata["choices"] or value in field.metadata["choices"]


@cases(900)
@given(SWEEP, st.sampled_from(design.DESIGNS))
@example("window=uniform(1,2)", "random")
@example("window\n=1", "grid")
@example("learning_rate=1e309", "grid")
@pytest.mark.slow
def test_a_sweep_is_an_axis_or_refused(text, name):
    axis = refused_or(lambda: design.parse_axis(text, name))
    if axis is not None:
        for value in axis.values:
            check_values({axis.name: value})
        assert axis.law in ("", "uniform", "log_uniform") and (axis.values or axis.low < axis.high)


@cases(700)
@given(st.lists(st.tuples(st.sampled_from(NAMES), VALUE), max_size=3), st.booleans())
def test_a_command_line_is_a_configuration_or_refused(pairs, bare):
    args = [f"--{name}" if bare and not value else f"--{name}={value}" for name, value in pairs]
    args = [arg for arg in args if not arg.startswith("--flagfile")]

    def configured():
        rest = parse(*args)
        made = config.from_flags()
        return rest, made, design.settings(made)

    found = refused_or(configured)
    if found is not None:
        _, made, (values, settings) = found
        check_values(
            {name: getattr(made, name) for name in design._FIELDS if name not in design.REFUSED}
        )
        for setting in settings:
            check_values(setting)
            assert set(setting) == set(values)


CONFIGURATIONS = (
    b"# ours\n--dim=50 --nodynamic_window\n\n--window=2 # narrow\n--optimizer=sgd --beta1=.5\n"
)


@cases(700)
@given(st.booleans(), BYTES, EDITS)
@pytest.mark.slow
def test_a_file_of_settings_is_read_or_refused(folder, whole, content, edits):
    path = folder / "settings.configurations"
    path.write_bytes(content if whole else tampered(CONFIGURATIONS, edits))
    settings = refused_or(lambda: design._listed(str(path)))
    if settings is not None:
        assert settings
        for setting in settings:
            check_values(setting)


@cases(400)
@given(st.booleans(), BYTES, EDITS)
@pytest.mark.slow
def test_a_flagfile_is_read_or_refused(folder, whole, content, edits):
    path = folder / "some.cfg"
    valid = b"# a run\n--dim=50\n--nodynamic_window\n--sweep=window=2,3\n--corpus=a b\n"
    path.write_bytes(content if whole else tampered(valid, edits))

    def configured():
        parse(f"--flagfile={path}")
        return config.from_flags()

    made = refused_or(configured)
    if made is not None:
        check_values(
            {name: getattr(made, name) for name in design._FIELDS if name not in design.REFUSED}
        )


@cases(300)
@given(st.lists(VALUE, max_size=3))
@example(["inf"])
@example(["nan"])
@example(["1e6"])
@example(["1e300"])
def test_a_list_of_integers_holds_positive_ones_or_is_refused(texts):
    flags.FLAGS["sizes"].value = texts
    found = refused_or(lambda: flag_types.positive("sizes"))
    if found is not None:
        assert found == sorted(set(found)) and all(type(n) is int and n > 0 for n in found)
        assert all(n < 2**31 for n in found)


def test_settings_have_a_byte_order_mark_and_crlf_or_not(folder):
    path = folder / "crlf.configurations"
    path.write_bytes("\ufeff--dim=5\r\n# no\u2028--dim=6\r\n--dim=7".encode())
    assert design._listed(str(path)) == [{"dim": 5}, {"dim": 7}]


@pytest.mark.parametrize("encoding", ["cp1251", "euc_kr"])
def test_settings_that_are_not_utf8_are_named_with_their_line_and_encoding(folder, encoding):
    text = {"cp1251": "Это предложение на русском", "euc_kr": "나는 고양이를 좋아합니다"}[encoding]
    path = folder / "mine.configurations"
    path.write_bytes(b"--dim=5\n# " + text.encode(encoding) + b"\n--dim=6\n")
    with pytest.raises(
        UserError, match=r"mine\.configurations: line 2: not UTF-8, probably .*iconv -f"
    ):
        design._listed(str(path))


@pytest.mark.parametrize(
    ("name", "said"),
    [("/dev/zero", "is a device"), ("loop", "symbolic links")],
)
def test_settings_come_from_no_device(tmp_path, name, said):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with told(said) as caught:
        design._listed(str(tmp_path / name))
    assert one_line(caught.value).startswith("--configurations=")


def test_more_seeds_than_can_be_held_are_refused_before_they_are_drawn():
    parse("--seeds=1000000000", "--sweep=window=1,2")
    with told(r"--seeds=1000000000: with 3 settings more than 1,000,000"):
        design.settings(config.from_flags())


def test_more_settings_than_can_be_held_are_refused_before_they_are_made():
    numbers = ",".join(map(str, range(1, 1001)))
    grid = [f"--sweep={name}={numbers}" for name in ("window", "dim", "negatives", "epochs")]
    for args in (grid, ["--design=random", "--points=10000000000", "--sweep=window=1,2"]):
        parse(*args)
        with told(r"--design=\w+: [\d,]+ settings; at most"):
            design.settings(config.from_flags())
