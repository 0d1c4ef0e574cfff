"""Rules files, and the places of their mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbfirewall.errors import ConfigError
from dbfirewall.policy.fields import Mark
from dbfirewall.policy.loader import RulesError, load_rules, parse_rules
from dbfirewall.policy.models import Rules
from dbfirewall.policy.units import Rate
from tests.policy.example import EXAMPLE, VERIFIER

NO_VERIFIER = (
    "36:51: not a SCRAM-SHA-256 verifier; the form is SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey> "
    "(`dbfirewall agent add` makes one)"
)
LITERAL_PASSWORD = (
    "43:35: a secret is never written into the rules, where version control and logs would keep it: "
    "use {env: NAME}, {file: PATH} or {command: [...]}"
)


def parse(text: str) -> Rules:
    """The rules in `text`."""
    return parse_rules({Path("rules.yaml"): text.encode()})


def mistakes(text: str) -> list[str]:
    """Each mistake in `text`, as `line:column: message`."""
    with pytest.raises(RulesError) as caught:
        parse(text)
    assert all(error.file == "rules.yaml" for error in caught.value.errors)
    return [f"{error.line}:{error.column}: {error.message}" for error in caught.value.errors]


def in_role(lines: str) -> str:
    """A file whose role `r` has these lines, from line 4 on and two levels in."""
    body = "\n".join(f"    {line}" for line in lines.splitlines())
    return f"version: 1\nroles:\n  r:\n{body}\n"


def in_rule(lines: str) -> str:
    """A file whose one rule has these lines, from line 5 on."""
    first, *rest = lines.splitlines()
    return in_role("\n".join(["rules:", f"  - {first}", *(f"    {line}" for line in rest)]))


def test_the_example_loads() -> None:
    """Every key of the documented example means what its comment says."""
    rules = parse(EXAMPLE)
    analyst, maintainer = rules.roles["analyst"], rules.roles["maintainer"]
    assert analyst.name == "analyst"
    assert analyst.read_only
    assert not maintainer.read_only
    assert analyst.search_path == ("public",)
    assert [rule.effect for rule in analyst.rules] == ["allow", "deny", "allow"]
    assert [pattern.text for pattern in analyst.rules[0].on] == ["public.orders", "reporting.*"]
    assert analyst.rules[1].columns == ("ssn", "card_number")
    assert analyst.limits.statement_timeout == 30_000
    assert analyst.limits.max_rows == 10_000
    assert analyst.limits.queries == Rate(600, 60)
    assert maintainer.rules[1].require_where
    assert maintainer.rules[1].max_rows_affected == 100
    assert maintainer.rules[2].actions == ("update", "delete", "truncate")
    assert maintainer.rules[2].approvers == ("dba",)
    assert maintainer.rules[4].kind == ("database", "schema")
    assert rules.agents["nightly-report"].password == VERIFIER
    assert rules.approvers["alice"].groups == ("dba",)
    login = rules.databases["shop"].logins["analyst"]
    assert login.user == "analyst_ro"
    assert login.password is not None
    assert login.password.env == "ANALYST_RO_PASSWORD"


def test_defaults_are_the_least() -> None:
    """A role is read-only, in `public`, pinned by the session, and without limits of its own."""
    role = parse(in_rule("allow: select")).roles["r"]
    assert (role.access, role.pin, role.search_path) == ("read-only", "session", ("public",))
    assert role.limits.statement_timeout is None
    assert role.rules[0].columns is None
    assert role.rules[0].on == ()


def test_a_gate_says_how_it_is_opened() -> None:
    """Every key of a gate, and of the role that it may take its hold from; what is not said stays open."""
    rules = parse(
        in_role(
            "hold: 0s\nrules: [{gate: delete, approvals: 2, approvers: [dba, lead], hold: 2m, expires: 24h, "
            "hold_in_transaction: true, cancel_on_disconnect: true, preview: plan, undo: rows}, {gate: update}]"
        )
    )
    role = rules.roles["r"]
    said, silent = role.rules
    assert role.hold == 0
    assert (said.approvals, said.approvers, said.hold, said.expires) == (
        2,
        ("dba", "lead"),
        120_000,
        86_400_000,
    )
    assert (said.hold_in_transaction, said.cancel_on_disconnect, said.preview, said.undo) == (
        True, True, "plan", "rows",
    )  # fmt: skip
    assert (silent.approvals, silent.approvers, silent.hold, silent.expires) == (1, (), None, None)
    assert (silent.hold_in_transaction, silent.cancel_on_disconnect, silent.preview, silent.undo) == (
        False, False, None, "none",
    )  # fmt: skip


def test_an_approver_may_have_a_slack_member() -> None:
    """By Slack's own id: names can be changed by who bears them."""
    told = EXAMPLE.replace("{groups: [dba],", "{groups: [dba], slack: U024BE7LH,")
    assert parse(told).approvers["alice"].slack == "U024BE7LH"
    wrong = EXAMPLE.replace("{groups: [dba],", "{groups: [dba], slack: '@alice',")
    assert mistakes(wrong) == ["38:26: a member id of Slack such as U024BE7LH is wanted here, not '@alice'"]


def test_every_part_knows_its_place() -> None:
    """Warnings can point at the line of a rule."""
    rules = parse(EXAMPLE)
    assert rules.roles["analyst"].rules[1].mark == Mark("rules.yaml", 9, 9)
    assert str(rules.agents["nightly-report"].mark) == "rules.yaml:36"
    assert str(Mark("elsewhere")) == "elsewhere"


def test_the_revision_is_of_the_meaning() -> None:
    """Comments change nothing, any rule does."""
    assert parse(EXAMPLE).revision == parse(EXAMPLE + "# a comment\n").revision
    assert parse(EXAMPLE).revision != parse(EXAMPLE.replace("ssn", "snn")).revision


def test_on_is_a_key_and_not_true() -> None:
    """YAML 1.2: `on` and `off` are texts, so that no rule loses its objects."""
    assert parse(in_rule("allow: select\non: public.a")).roles["r"].rules[0].on[0].text == "public.a"


def test_rules_are_named_by_their_words() -> None:
    """An id that does not depend on the rule's place, unless the rule has one."""
    rules = parse(EXAMPLE).roles
    assert rules["analyst"].rules[1].label == "deny select on public.customers columns ssn, card_number"
    assert rules["maintainer"].rules[4].label == "deny drop (database, schema)"
    assert parse(in_rule("allow: select\nid: reads")).roles["r"].rules[0].label == "reads"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("roles: {}", "1:1: `version: 1` is missing"),
        ("version: 2\nroles: {r: {rules: [{allow: select}]}}", "1:1: version 2 is not known: write `version: 1`"),
        ("version: true\nroles: {r: {rules: [{allow: select}]}}",
         "1:1: version True is not known: write `version: 1`"),
        ("version: 1", "0:0: no rules: refusing to start"),
        ("version: 1\nroles: {}", "0:0: no rules: refusing to start"),
        ("version: 1\nroles: {r: {rules: []}}", "0:0: no rules: refusing to start"),
        ("", "0:0: the file is empty: refusing to start without rules"),
        ("# nothing\n", "0:0: the file is empty: refusing to start without rules"),
        ("- version: 1", "1:1: a rules file is a mapping that begins with `version: 1`"),
        ("version: 1\nroles: [", "2:9: expected the node content, but found '<stream end>'"),
        ("version: 1\nroles:\n  r: {rules: [{allow: select}]}\n  r: {}", "4:3: found duplicate key \"r\""),
        ("version: 1\nrolls: {}", "2:1: unknown key 'rolls' (did you mean 'roles'?)"),
        ("version: 1\nrevision: x", "2:1: unknown key 'revision' (did you mean 'version'?)"),
        ("version: 1\nroles: 5", "2:1: a mapping is wanted here, not 5"),
        ("version: 1\nroles: {r: 5}", "2:9: a mapping is wanted here, not 5"),
        (in_role("acess: read-only"), "4:5: unknown key 'acess' (did you mean 'access'?)"),
        (in_role("access: readonly"),
         "4:5: 'readonly' is not one of read-only, read-write (did you mean 'read-only'?)"),
        (in_role("pin: strong"), "4:5: 'strong' is not one of session, strict"),
        (in_role("pin: strict\naccess: read-write"),
         "4:5: `pin: strict` proves that a role only reads: this one is read-write"),
        (in_role("name: x"), "4:5: unknown key 'name'"),
        (in_role("search_path: public"), "4:5: a list is wanted here, not 'public'"),
        (in_role("search_path: [public, 5]"), "4:27: a schema's name is a text, not 5"),
        (in_role("search_path: [a.b]"), "4:19: 'a.b' has 2 parts: one name is wanted here"),
        (in_role("rules: allow"), "4:5: a list is wanted here, not 'allow'"),
        (in_role("rules: [allow]"), "4:13: a mapping is wanted here, not 'allow'"),
        (in_role("limits: {statement_timeout: 30}"),
         "4:14: 30 is not a duration: write a number and a unit, such as 500ms, 30s, 5m or 1h"),
        (in_role("limits: {max_rows: 0}"), "4:14: at least 1 is wanted here, not 0"),
        (in_role("limits: {max_rows: '5'}"), "4:14: a whole number is wanted here, not '5'"),
        (in_role("limits: {max_row: 5}"), "4:14: unknown key 'max_row' (did you mean 'max_rows'?)"),
        (in_rule("alow: select"), "5:9: unknown key 'alow' (did you mean 'allow'?)"),
        (in_rule("on: public.a"), "5:9: a rule begins with allow, deny or gate"),
        (in_rule("effect: allow\nactions: select"), "5:9: unknown key 'effect'"),
        (in_rule("allow: select\ndeny: insert"), "6:9: one rule has one of allow, deny and gate, not allow and deny"),
        (in_rule("allow: selct"), "5:9: unknown action 'selct' (did you mean 'select'?)"),
        (in_rule("allow: [select, writ]"), "5:25: unknown action 'writ' (did you mean 'write'?)"),
        (in_rule("allow: [5]"), "5:17: unknown action 5"),
        (in_rule("allow: []"), "5:9: an empty list means nothing: leave the key out, or name something"),
        (in_rule("allow: 5"), "5:9: a list is wanted here, not 5"),
        (in_rule("allow: select\non: orders"), "6:9: 'orders' has no schema: write public.orders (or *.orders)"),
        (in_rule("allow: write\non: [public.a, b]"), "6:9: 'b' has no schema: write public.b (or *.b)"),
        (in_rule("deny: drop\nkind: table\non: t"), "7:9: 't' has no schema: write public.t (or *.t)"),
        (in_rule("allow: select\non: [public.a, a b]"),
         "6:24: 'a b' is not a name: write schema.name, and quote a part that holds other characters"),
        (in_rule("allow: select\non: [5]"), "6:14: a pattern is a text such as public.orders, not 5"),
        (in_rule("allow: select\ncolumns: [a, 5]"), "6:22: 5 cannot be named as a column"),
        (in_rule("allow: select\ncolumns: ['\"*\"']"), "6:19: '\"*\"' cannot be named as a column"),
        (in_rule("allow: select\ncolumns: [a.b]"), "6:19: 'a.b' has 2 parts: one name is wanted here"),
        (in_rule("allow: delete\ncolumns: [a]"),
         "6:9: `columns` says something about copy_from, insert, select, update only"),
        (in_rule("allow: select\nrequire_where: true"),
         "6:9: `require_where` says something about delete, update only"),
        (in_rule("allow: update\nrequire_where: 'yes'"), "6:9: true or false is wanted here, not 'yes'"),
        (in_rule("deny: update\nrequire_where: true"), "6:9: `require_where` is a condition of an allow"),
        (in_rule("gate: update\nmax_rows_affected: 5"), "6:9: `max_rows_affected` is a condition of an allow"),
        (in_rule("allow: update\nmax_rows_affected: 0"), "6:9: at least 1 is wanted here, not 0"),
        (in_rule("allow: select\nkind: table"), "6:9: `kind` says something about alter, comment, create, drop only"),
        (in_rule("allow: select\napprovers: [dba]"), "6:9: `approvers` belongs to a gate"),
        (in_rule("allow: select\nhold: 5s"), "6:9: `hold` belongs to a gate"),
        (in_rule("deny: select\nundo: rows"), "6:9: `undo` belongs to a gate"),
        (in_rule("deny: select\napprovals: 1"), "6:9: `approvals` belongs to a gate"),
        (in_rule("allow: select\npreview: none"), "6:9: `preview` belongs to a gate"),
        (in_rule("allow: select\nexpires: 1h"), "6:9: `expires` belongs to a gate"),
        (in_rule("allow: select\nhold_in_transaction: false"), "6:9: `hold_in_transaction` belongs to a gate"),
        (in_rule("allow: select\ncancel_on_disconnect: true"), "6:9: `cancel_on_disconnect` belongs to a gate"),
        (in_rule("gate: delete\nhold: 45"),
         "6:9: 45 is not a duration: write a number and a unit, such as 500ms, 30s, 5m or 1h"),
        (in_rule("gate: delete\nexpires: 0s"), "6:9: '0s' is out of range: a duration is between 1ms and 596h"),
        (in_rule("gate: delete\napprovals: 0"), "6:9: at least 1 is wanted here, not 0"),
        (in_rule("gate: delete\npreview: row"), "6:9: 'row' is not one of rows, plan, none (did you mean 'rows'?)"),
        (in_rule("gate: delete\nundo: true"), "6:9: 'True' is not one of rows, none"),
        (in_role("hold: never"),
         "4:5: 'never' is not a duration: write a number and a unit, such as 500ms, 30s, 5m or 1h"),
        (in_rule("allow: select\nreason: [a]"), "6:9: a text is wanted here, not a list"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(text: str, expected: str) -> None:
    """The first mistake is told with line, column, and the nearest valid spelling."""
    assert mistakes(text)[0] == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("role: analyst,", "role: analist,", "36:20: no role 'analist' is defined (did you mean 'analyst'?)"),
        ("database: shop,", "database: shp,", "36:35: no database 'shp' is defined (did you mean 'shop'?)"),
        ("role: analyst,", "role: maintainer,",
         "36:38: no login for role 'maintainer': add one under databases.shop.logins"),
        ("role: analyst,", "", "36:3: `role` is missing"),
        (VERIFIER, "hunter2", NO_VERIFIER),
        ('"sha256:', '"', "38:26: a token is never written into the rules, only `sha256:` and its digest"),
        ('"sha256:0', '"sha256:', "38:26: after `sha256:` there are the 64 hexadecimal digits of a token's digest"),
        ("databases:\n", f'  al: {{token: "sha256:{"0" * 64}"}}\ndatabases:\n',
         "39:8: this is also the token of 'alice': each approver has their own"),
        ("      analyst: {user", "      analist: {user",
         "43:7: no role 'analist' is defined (did you mean 'analyst'?)"),
        ("postgresql://db", "mysql://db", "41:5: a dsn is written postgresql://host:port/database"),
        ("//db.internal", "//u:p@db.internal",
         "41:5: a dsn holds no user and no password: they stand under `logins`"),
        ("/shop\n", "/shop?password=x\n", "41:5: a dsn holds no user and no password: they stand under `logins`"),
        ("//db.internal", "//[db", "41:5: the dsn is malformed"),
        ("{env: ANALYST_RO_PASSWORD}", "hunter2",
         LITERAL_PASSWORD),
        ("{env: ANALYST_RO_PASSWORD}", "{env: A, file: B}",
         "43:35: a secret comes from exactly one of env, file and command"),
        ("{env: ANALYST_RO_PASSWORD}", "{envv: A}", "43:46: unknown key 'envv' (did you mean 'env'?)"),
    ],
)  # fmt: skip
def test_references_and_secrets_are_checked(old: str, new: str, expected: str) -> None:
    """Agents need a role, a database and its login; nothing secret stands in the file."""
    assert old in EXAMPLE
    assert expected in mistakes(EXAMPLE.replace(old, new))


def test_all_mistakes_are_told_at_once() -> None:
    """One run of `validate` shows what there is to mend, in order."""
    found = mistakes(in_role("acess: x\nlimits: {queries: 5}\nrules:\n  - allow: selct"))
    assert [line.split(":")[0] for line in found] == ["4", "5", "7"]


def test_the_text_of_an_error_is_ready_for_a_person() -> None:
    """`file:line:column: message`, one line per mistake."""
    with pytest.raises(ConfigError) as caught:
        parse(in_role("acess: x\npin: y"))
    assert str(caught.value).splitlines() == [
        "rules.yaml:4:5: unknown key 'acess' (did you mean 'access'?)",
        "rules.yaml:5:5: 'y' is not one of session, strict",
    ]
    assert (caught.value.line, caught.value.column) == (4, 5)


def test_a_login_may_need_no_password() -> None:
    """A server that trusts the firewall is asked without one."""
    text = EXAMPLE.replace(", password: {env: ANALYST_RO_PASSWORD}", "")
    assert parse(text).databases["shop"].logins["analyst"].password is None


@pytest.mark.parametrize(
    "source", ["{file: /run/secrets/p}", "{command: [pass, show, p]}", "{command: pass}"]
)
def test_a_password_comes_from_elsewhere(source: str) -> None:
    """A file or a command serve as well as the environment."""
    login = parse(EXAMPLE.replace("{env: ANALYST_RO_PASSWORD}", source)).databases["shop"].logins["analyst"]
    assert login.password is not None
    assert login.password.file or login.password.command


def test_the_session_user_schema_is_kept() -> None:
    """`$user` stands for the login's own schema."""
    assert parse(in_role('search_path: ["$user", Public]\nrules: [{allow: select}]')).roles[
        "r"
    ].search_path == (
        "$user",
        "public",
    )


def test_anchors_are_followed() -> None:
    """Two roles may share their limits."""
    rules = parse(
        "version: 1\nroles:\n  a: {limits: &l {max_rows: 5}, rules: [{allow: select}]}\n  b: {limits: *l}\n"
    )
    assert rules.roles["b"].limits.max_rows == 5


def test_merged_keys_are_followed() -> None:
    """`<<` takes over another role's keys; what is wrong in them is told where it is written."""
    text = (
        "version: 1\nroles:\n  a: &a\n    access: read-only\n    rules:\n      - allow: select\n"
        "  b:\n    <<: *a\n    pin: strict\n"
    )
    roles = parse(text).roles
    assert (roles["b"].pin, len(roles["b"].rules), roles["a"].pin) == ("strict", 1, "session")
    told = mistakes(text.replace("allow: select", "allow: selekt"))
    assert told
    assert all(line.startswith("6:") for line in told), told


def test_an_alias_of_itself_is_refused() -> None:
    """Nothing recurses without end, and nothing is nested deeper than rules can be."""
    assert mistakes("version: 1\nroles: &r\n  r: *r\n")
    assert "nested too deeply" in mistakes(f"version: 1\nroles: {'[' * 30}{']' * 30}\n")[0]


def test_a_folder_is_one_set_of_rules(tmp_path: Path) -> None:
    """Every *.yaml and *.yml counts, policy tests and other files do not."""
    (tmp_path / "a.yaml").write_text(in_rule("allow: select"))
    (tmp_path / "b.yml").write_text("version: 1\nroles: {s: {rules: [{allow: insert}]}}\n")
    (tmp_path / "a.test.yaml").write_text("no: rules")
    (tmp_path / "notes.txt").write_text("hello")
    rules = load_rules(tmp_path)
    assert sorted(rules.roles) == ["r", "s"]
    assert rules.roles["s"].rules[0].mark.file == str(tmp_path / "b.yml")
    assert load_rules(tmp_path / "a.yaml").roles.keys() == {"r"}


def test_two_files_must_not_define_the_same(tmp_path: Path) -> None:
    """Which of two roles would hold is not left to chance."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(in_rule("allow: select"))
    with pytest.raises(RulesError) as caught:
        load_rules(tmp_path)
    assert str(caught.value) == f"{tmp_path}/b.yaml:3:3: 'r' is defined twice, first at {tmp_path}/a.yaml:3"


def test_a_section_that_is_none_is_told_beside_one_that_is(tmp_path: Path) -> None:
    """Merging files does not hide that one of them is wrong."""
    (tmp_path / "a.yaml").write_text("version: 1\nroles: 5\n")
    (tmp_path / "b.yaml").write_text(in_rule("allow: select"))
    with pytest.raises(RulesError, match=r"a\.yaml:2:1: a mapping is wanted here, not 5"):
        load_rules(tmp_path)


def test_mistakes_of_several_files_keep_their_file(tmp_path: Path) -> None:
    """Each file must be whole, and is named in what is wrong with it."""
    (tmp_path / "a.yaml").write_text(in_rule("allow: selct"))
    (tmp_path / "b.yaml").write_text("roles: {s: {acess: x}}\n")
    with pytest.raises(RulesError) as caught:
        load_rules(tmp_path)
    assert [(Path(one.file).name, one.line) for one in caught.value.errors] == [
        ("a.yaml", 5),
        ("b.yaml", 1),
        ("b.yaml", 1),
    ]


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"version: 1\nroles: \x01", b"a: *b", b"!!python/object:os.system {}"]
)
def test_what_is_no_yaml_is_an_error_of_the_file(content: bytes, tmp_path: Path) -> None:
    """Bytes, control characters, unknown anchors and tags end in a ConfigError, in nothing else."""
    (tmp_path / "rules.yaml").write_bytes(content)
    with pytest.raises(ConfigError):
        load_rules(tmp_path / "rules.yaml")


def test_missing_files_and_folders_are_told(tmp_path: Path) -> None:
    """No file, an unreadable one, a huge one and an empty folder are errors, never 'no rules, go on'."""
    with pytest.raises(ConfigError, match="no such file"):
        load_rules(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match=r"no \*\.yaml file"):
        load_rules(tmp_path)
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        load_rules(tmp_path)
    big = tmp_path / "big.yaml"
    big.write_text("#" * 4_000_001)
    with pytest.raises(ConfigError, match="larger than"):
        load_rules(big)


WORDS = st.sampled_from(
    ["version", "roles", "r", "rules", "allow", "select", "on", "public.a", "limits", "agents"]
)
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=15,
)


@given(TREES)
def test_any_tree_loads_or_is_told(tree: object) -> None:
    """Whatever a file says, it gives rules or a ConfigError, nothing else."""
    import json

    try:
        rules = parse(json.dumps(tree))
    except ConfigError:
        return
    assert any(role.rules for role in rules.roles.values())


def test_a_role_may_do_everything_in_three_lines() -> None:
    """Without a pinned search_path, which only a role that may write can do without."""
    owner = in_role("access: read-write\nsearch_path: null\nrules: [{allow: everything}]")
    role = parse(owner).roles["r"]
    assert role.search_path is None
    assert role.grants("unknown")
    assert role.grants("set_session_authorization")
    assert mistakes(in_role("search_path: null")) == ["4:5: a read-only role is pinned to a search_path"]


def test_an_agent_may_have_several_databases() -> None:
    """A name or a list of names, each of which must be defined and have a login for the role."""
    assert parse(EXAMPLE).agents["nightly-report"].database == ("shop",)
    several = EXAMPLE.replace("database: shop,", "database: [shop, shpo],", 1)
    assert "no database 'shpo' is defined (did you mean 'shop'?)" in mistakes(several)[0]
