"""Personal data, secrets and evaluation texts: what is planted is found, what only looks like it is left alone."""

import ast
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import mrclean, profile, sources
from mrclean import Document, planted, private

PER_FORM = 20


@pytest.fixture(scope="module")
def texts():
    """Real text without anything private in it, to plant into."""
    result = mrclean.clean(mrclean.read_wiki(sorted(sources.fetch("gensim").glob("enwiki*"))[0], 100))
    found = [d.text[:3000] for d in result.kept]
    assert len(found) > 5 and not any(private.find(text) for text in found)
    return found


@pytest.fixture(scope="module")
def evaluation():
    return mrclean.evaluation_texts()


def test_planted_private_data_is_found_and_decoys_are_not(texts):
    cases = planted.private_cases(texts, PER_FORM, seed=1)
    found = planted.find_private(cases)
    assert found.recall >= 0.95 and found.precision >= 0.95, found.misses
    # Known and said in the notebook: without its country, only the numbers of North America have a known shape.
    assert [miss.split(":")[0] for miss in found.misses] == ["phone, British, national"]


def test_the_measure_of_recall_can_fail(texts, monkeypatch):
    cases = planted.private_cases(texts, 3, seed=1)
    monkeypatch.setattr(private, "find", lambda text: [])
    assert planted.find_private(cases).recall == 0
    monkeypatch.setattr(private, "find", lambda text: [(0, len(text), "key")])
    assert planted.find_private(cases).precision < 0.7


@pytest.mark.parametrize("what", ["keys", "addresses"])
def test_detect_secrets_agrees(texts, what):
    """detect-secrets as second judge: its detectors for the same kinds of key, on the same planted lines."""
    from detect_secrets.core.scan import scan_line
    from detect_secrets.settings import transient_settings

    names = ("AWSKeyDetector", "GitHubTokenDetector", "GitLabTokenDetector", "JwtTokenDetector", "PrivateKeyDetector")
    plugins = [{"name": name} for name in (*names, "SlackDetector", "StripeDetector")]
    theirs_too = ("AWS", "GitHub", "GitLab", "JSON web", "private key", "Slack", "Stripe")
    cases = planted.private_cases(texts, PER_FORM, seed=2)
    keys = [c for c in cases if c.form.startswith(theirs_too) and c.wanted]
    others = [c for c in cases if not c.form.startswith((*theirs_too, "Google"))]
    assert len(keys) == 7 * PER_FORM
    different = []
    with transient_settings({"plugins_used": plugins}):
        for case in keys if what == "keys" else others:
            piece = case.text[max(0, case.begin - 20) : case.end + 5]
            theirs = any(list(scan_line(line)) for line in piece.split("\n"))
            ours = any(kind == "key" for *_, kind in private.find(case.text))
            if theirs != ours:
                different.append(case.form)
    # A JSON web token must be valid base64 JSON for detect-secrets; ours is drawn at random and only looks like one.
    assert set(different) <= {"JSON web token"}


def test_redacting_twice_changes_nothing_more(texts):
    for case in planted.private_cases(texts, 2, seed=3):
        once, _ = private.redact(case.text)
        assert private.redact(once)[0] == once
        assert mrclean.excerpt(case.text) == mrclean.excerpt(mrclean.excerpt(case.text))


@given(st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_spans_are_in_order_and_inside(text):
    spans = private.find(text)
    ends = [0, *(end for _, end, _ in spans)]
    assert all(last <= begin < end <= len(text) for last, (begin, end, _) in zip(ends, spans, strict=False))


def test_a_product_of_matrices_in_code_is_no_address():
    code = "# write to jo@example.org\nx = a@b.inv\ny = f'{a@b.com} +1 212 555 0123'\n"
    kept = private.private_data(Document("x", "code", "t", "x", text=code, codec="utf-8")).document
    assert "jo@" not in kept.text and "x = a@b.inv" in kept.text and "f'{a@b.com} <PHONE>'" in kept.text
    ast.parse(kept.text)
    lines = Document("x", "code", "t", "x", text="# call 212-736-\n# 5000 now\nx = 5000\n", codec="utf-8")
    assert private.private_data(lines).document.text == "# call <PHONE>\n#<PHONE> now\nx = 5000\n"
    assert kept.redacted == {"e-mail": 1, "phone": 1}
    prose = private.private_data(Document("x", "book", "t", "x", text="see a@b.inv", codec="utf-8")).document
    assert prose.text == "see <EMAIL>"


@pytest.mark.parametrize(
    "code",
    [
        'x = f"{A!r} {x@y.com:>{w}}"',
        'x = rf"{a@b.inv:{jo@x.org}}"',
        's = "\\njo@example.org \\u0041"',
        "y = x[2000::3]  # x[2::3] and x[2001:2:3:4]",
        '"""\n>>> A@B.inv\n"""',
        "def f():\n    return ['a@b.com', f'{{c@d.com}}', b'e@f.com']",
        's = "\\x41jo@example.org", b"\\x00jo@example.org", "\\101jo@example.org"',
        'k = "\\nAKIAABCDEFGHIJKLMNOP call\\n617-253-1000"',
        'k = ("-----BEGIN RSA PRIVATE KEY-----\\n"\n  "MIIEjo@example\\n"\n  "-----END RSA PRIVATE KEY-----\\n")',
    ],
)
def test_code_still_parses_after_redaction_and_its_escapes_stay(code):
    answer = private.private_data(Document("x", "code", "t", "x", text=code + "\n", codec="utf-8"))
    ast.parse(answer.document.text)
    for kept in ("x@y.com", "a@b.inv", "\\n", "2000::3", "A@B.inv"):
        assert (kept in code) == (kept in answer.document.text)
    assert not [
        gone
        for gone in ("jo@example", "a@b.com", "c@d.com", "e@f.com", "AKIA", "253", "MII")
        if gone in answer.document.text
    ]


def test_what_only_looks_private_is_left_alone():
    for text in (
        "Version: 4.12.3.1, firmware 8.8.4.4, clause 12.3.4.5, 2.5.29.15 key usage",
        "face::b00c, 12::34, aa:bb:cc:dd:ee:ff",
        "301 405 2000 713 555 1234",
        "git@github.com:foo/bar.git, image@2x.png",
    ):
        assert private.redact(text) == (text, {})
    for text in ("tel:+1-202-555-0123", "(202)-555-0111", "202\xa0555\xa00123", "https://u:pw@h.example.org/x"):
        assert private.find(text), text


def test_an_excerpt_masks_what_begins_before_it():
    key = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA7bq\n" * 60 + "-----END RSA PRIVATE KEY-----"
    assert mrclean.excerpt(key) == "[key]"
    assert "MII" not in private.excerpt(key, 90, begin=200)
    assert "jo" not in mrclean.excerpt("word" + " " * 772 + "Mail jo.smith@example.org now")
    assert mrclean.excerpt("\x1a@john-doe") == "\\x1a[account]"
    assert private.excerpt("see @john-doe-smith now", 90, begin=7) == "[account] now"
    assert "MII" not in mrclean.excerpt(key[:200])  # cut off before its end
    assert mrclean.excerpt("call 617\n253\n1000") == "call [phone]"


@pytest.mark.parametrize(
    "piece",
    [
        *("a-", "a", "@", "a@", "a@a.", "1.", "1-", "1 ", "+1 ", "(", "::", "a:", "f:f:", "1.1.1.1", "+", "12-345-"),
        *("a%40", "a@a.xn--", "Private-Lines: 1\n", "10.1234/"),
        *("-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "eyJa", "eyJaaaaaaaa.", "ghp_", "xoxb-1-", "AKIA", "glpat-"),
    ],
)
def test_every_pattern_takes_linear_time(piece):
    began = time.perf_counter()
    private.find(piece * (1_000_000 // len(piece)))
    assert time.perf_counter() - began < 60


def test_real_sources_keep_no_address(evaluation):
    result = mrclean.clean(mrclean.read_sources(profile.PROFILES["smoke"].clean), evaluation)
    for document in result.kept:
        again = private.private_data(document)
        assert again.document.text == document.text, document.id


# In which letters stand on both sides of what is planted; no blank where the script has none.
SCRIPTS = {
    "Latin with accents": "où é, {} à été",
    "Chinese": "请联系我{}谢谢",
    "Japanese": "連絡先は{}です",
    "Korean": "연락처 {}로 보내",
    "Thai": "ติดต่อ{}ครับ",
    "Lao": "ຕິດຕໍ່{}ຂອບໃຈ",
    "Arabic": "راسلني على {}، شكرا",
    "Hebrew": "כתבו ל{} תודה",
    "Hindi": "मुझे {}पर लिखें",
    "Russian": "пишите на {}, спасибо",
    "Greek": "γράψτε στο {}· ευχαριστώ",
    "Khmer": "ទាក់ទង{}អរគុណ",
    "Tamil": "எனக்கு{}எழுதவும்",
}


# Versions, figures and papers as files hold them.
NUMBERED = (
    '"version": "6.13.11.71"', "<version>6.13.11.71</version>", '[assembly: AssemblyVersion("6.13.11.71")]',
    'version="6.13.11.71"', "Fig. 5.6.1.44", "Table 45.6.1.44", "10.6822/938-413-8876",
    "https://doi.org/10.6822/938-413-8876",
)  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS)
def test_private_data_is_found_between_the_letters_of_any_script(script):
    chance = random.Random(script)
    pieces = [p for _ in range(PER_FORM) for p in planted._private_pieces(chance) if "British, national" not in p[0]]
    pieces += [("decoy", False, decoy, decoy) for decoy in NUMBERED for _ in range(PER_FORM)]
    put = [(form, wanted, SCRIPTS[script].format(piece)) for form, wanted, piece, _ in pieces]
    missed = [form for form, wanted, text in put if wanted and private.redact(text)[0] == text]
    taken = [form for form, wanted, text in put if not wanted and private.find(text)]
    assert len(missed) <= 0.05 * sum(wanted for _, wanted, _ in put), missed
    assert len(taken) <= 0.01 * sum(not wanted for _, wanted, _ in put), taken


# Each with what has to be gone, and what has to be left.
AS_WRITTEN = {
    "a row of a table": ("7,Jo,jo@example.org,+1 212 736 5000,42", "7,Jo,<EMAIL>,<PHONE>,42"),
    "a row with tabs": ("7\tjo@example.org\t212-736-5000\t42", "7\t<EMAIL>\t<PHONE>\t42"),
    "quoted in a row": ('"jo@example.org";"(212) 736-5000"', '"<EMAIL>";"<PHONE>"'),
    "numbers side by side": ("a +1 212 736 5001,+1 212 736 5002", "a <PHONE>,<PHONE>"),
    "behind =, # and /": ("x=+1 212 736 5000 #212-736-5000 /212-736-5000", "x=<PHONE> #<PHONE> /<PHONE>"),
    "links": ('<a href="tel:+12127365000">tel:2127365000', '<a href="tel:<PHONE>">tel:<PHONE>'),
    "over two lines": ("call 212-736-\n  5000 or +1 212\n736 5000.", "call <PHONE> or <PHONE>."),
    "in brackets and bold": ("_jo@example.org_ **jo@example.org**", "_<EMAIL>_ **<EMAIL>**"),
    "with a port": ("jo@example.org:25", "<EMAIL>:25"),
    "with a password": ("jo@example.org:secret", "<EMAIL>:secret"),
    "accents": ("josé@example.org, jo@mañana.es", "<EMAIL>, <EMAIL>"),
    "an apostrophe": ("o'brien@example.org 'jo@example.org'", "<EMAIL> '<EMAIL>'"),
    "Cyrillic": ("иван@пример.рф", "<EMAIL>"),
    "full width": ("ｊｏ＠ｅｘａｍｐｌｅ．ｏｒｇ jo＠example.org", "<EMAIL> <EMAIL>"),
    "full-width digits": ("電話＋８１　３　１２３４　５６７８", "電話<PHONE>"),
    "other digits": ("फ़ोन +९१ ९८१०१ २३४५६", "फ़ोन <PHONE>"),
    "at in brackets": ("jo (at) example (dot) org, jo[at]example.org", "<EMAIL>, <EMAIL>"),
    "with 00": ("0044 20 7946 0958", "<PHONE>"),
    "a range of addresses": ("93.184.216.34-93.184.216.40", "<IP_ADDRESS>-<IP_ADDRESS>"),
    "IPv6 in a URL": ("http://[2a01:4f8:1:2::5]:80/", "http://[<IP_ADDRESS>]:80/"),
    "a secret by its name": ('aws_secret_access_key = "' + "wJalrXUtnF" * 4 + '"', 'aws_secret_access_key = "<KEY>"'),
    "Anthropic": ("sk-ant-api03-" + "aB3-" * 20, "<KEY>"),
    "old OpenAI": ("sk-" + "aB3d" * 5 + "T3BlbkFJ" + "aB3d" * 5, "<KEY>"),
    "npm": ("npm_" + "aB3d" * 9, "<KEY>"),
    "PyPI": ("pypi-AgEIcHlwaS5vcmc" + "aB3d" * 15, "<KEY>"),
    "Hugging Face": ("hf_" + "aB" * 17, "<KEY>"),
    "SendGrid": ("SG." + "aB" * 11 + "." + "a" * 43, "<KEY>"),
    "Slack app": ("xapp-1-A0123456789-1234567890123-" + "0af3" * 16, "<KEY>"),
    "a key without its end": ("-----BEGIN RSA PRIVATE KEY-----\n" + ("aB3+" * 16 + "\n") * 4 + "aB3=\nSo it was.",
                              "<KEY>\nSo it was."),
    "a key on one line": ("-----BEGIN PRIVATE KEY-----" + "MIIEvQIBADANBgkqhkiG9w0BAQ" * 40 + " So.", "<KEY> So."),
    "an address in a link": ("mailto:jo%40example.org?subject=x", "mailto:<EMAIL>?subject=x"),
    "a domain of other letters": ("jo@example.xn--p1ai, jo@xn--e1afmkfd.xn--p1ai.", "<EMAIL>, <EMAIL>."),
    "minus signs": ("call 212−736−5000 now", "call <PHONE> now"),
    "over two comments": ("# call 212-736-\n# 5000 or +44 20\n# 7946 0958", "# call <PHONE> or <PHONE>"),
    "Atlassian": ("ATATT3xFfGF0" + "aB3_-=" * 30 + "A1B2", "<KEY>"),
    "Grafana": ("glsa_" + "aB3d" * 8 + "_0af31b2c glc_" + "aB3d" * 20, "<KEY> <KEY>"),
    "xAI": ("xai-" + "aB3d" * 20, "<KEY>"),
    "PuTTY": ("Private-Lines: 2\n" + "aB3+" * 16 + "\naB3=\nPrivate-MAC: 00ff",
              "Private-Lines: 2<KEY>\nPrivate-MAC: 00ff"),
    "a key that is cut off": ("-----BEGIN PRIVATE KEY-----\nMIIEvQ", "<KEY>"),
}  # fmt: skip


@pytest.mark.parametrize("what", AS_WRITTEN)
def test_private_data_is_found_as_people_write_it(what):
    text, wanted = AS_WRITTEN[what]
    assert private.redact(text)[0] == wanted
    assert private.excerpt(text).count("[") >= wanted.count("<") - wanted.count("<a "), "the report shows what is gone"


@pytest.mark.parametrize(
    "text",
    [
        "FILE MERGED hjs 1.36.2.1: RESYNC", "revision 1.120.2.201", "POSIX 1003.1e: 2.2.2.39", "mDNS on 224.0.0.251",
        "1609459200000", "ISBN 978-0-306-40615-7", "ISSN 0378-5955", "123e4567-e89b-12d3-a456-426614174000",
        "2021-01-02 03:04:05", "a key begins with -----BEGIN RSA PRIVATE KEY----- and ends", "/usr/foo/93.184.216.34/x",
        "git@example.org:team/tool.git", "look (at) the picture", "12 345 678 901", "300 301 302 3030 4040",
    ],
)  # fmt: skip
def test_what_is_numbered_is_not_private(text):
    assert private.find(text) == []


# ---- contamination ---------------------------------------------------------------------------------------------------


def test_planted_evaluation_texts_are_found(texts, evaluation):
    cases = planted.contamination_cases(texts, evaluation, PER_FORM, seed=4)
    found = planted.find_contamination(cases, evaluation)
    assert found.recall >= 0.95 and found.precision >= 0.95, found.misses
    always = [f for f, (hits, n, wanted) in found.counts.items() if wanted and hits == n]
    assert len(always) >= 6  # a changed word in a short text hides it: that is what 13 words in a row mean


def test_a_contaminated_document_is_dropped_and_says_why(texts, evaluation):
    number, text = next((i, t) for i, t in enumerate(evaluation.texts) if len(t.split()) > 20)
    clean = Document("a", "book", "t", "a", raw=(texts[0] + "\n").encode(), bytes_in=1)
    dirty = Document("b", "book", "t", "b", raw=f"{texts[1]} He wrote: {text.upper()}\n".encode(), bytes_in=1)
    found = mrclean.clean([clean, dirty], evaluation)
    assert [d.id for d in found.kept] == ["a"]
    (dropped,) = found.dropped
    assert dropped.reason == "contaminated" and f"evaluation text {number} " in dropped.evidence
    assert mrclean.clean([dirty]).kept  # without the texts nothing is looked for


def test_entities_do_not_hide_an_evaluation_text():
    quoted = "Tom &amp; Jerry is a very funny old film"
    index = mrclean.EvaluationTexts([quoted])
    assert index.find(f"He said: {quoted}!") and index.find("Tom & Jerry is a very funny old film")


def test_contamination_is_its_definition():
    chance = random.Random(5)
    words = ["the", "cat", "sat", "on", "a", "mat"]
    held_out = [" ".join(chance.choices(words, k=n)) for n in (3, 6, 9, 12)]
    index = mrclean.EvaluationTexts(held_out, words=5, min_words=4)
    assert index.too_short == 1
    runs = {tuple(t.split()[i : i + 5]) for t in held_out[1:] for i in range(len(t.split()) - 4)}
    for _ in range(300):
        text = chance.choices(words, k=12)
        expected = any(tuple(text[i : i + 5]) in runs for i in range(8))
        assert (index.find(", ".join(text).upper()) is not None) == expected


# What an attacker found: each with what has to be gone, and what has to be left.
ATTACKED = {
    "server 93.184.216.34, over 93.184.216.34": "server <IP_ADDRESS>, over <IP_ADDRESS>",
    "unknown[93.184.216.34]:25 93.184.216.34.443 > x": "unknown[<IP_ADDRESS>]:25 <IP_ADDRESS>.443 > x",
    "ion@firma.md juan@empresa.py": "<EMAIL> <EMAIL>",
    "Tel.+49 30 1234567 T+44 20 7946 0958": "Tel.<PHONE> T<PHONE>",
    "+49 30/1234567, +44  20  7946  0958": "<PHONE>, <PHONE>",
    "212-736-5000x12 +44 20 7946 0958Fax": "<PHONE>x12 <PHONE>Fax",
    '{"SecretAccessKey": "' + "wJalrXUtnF" * 4 + '"}': '{"SecretAccessKey": "<KEY>"}',
    "redis://:s3cret@host postgres://u:p@ss@host/x": "redis://<KEY>@host postgres://<KEY>@host/x",
    "." * 80 + "jo@example.org jo <at> example <dot> org": "." * 80 + "<EMAIL> <EMAIL>",
    "begins with -----BEGIN PRIVATE KEY----- on its first line and then ends with -----END PRIVATE KEY-----": None,
    "Hanif Mohammad 337 499 1958, Model X 310 415 2000 kg": None,
    "(see 201.12.4.4) Skype 8.98.0.206 OpenSSL 1.1.1.200": None,
    "x[2001:db8:1:2] y[2000:3000:4:5]": None,
}


@pytest.mark.parametrize("text", ATTACKED)
def test_what_an_attacker_found_stays_mended(text):
    assert private.redact(text)[0] == (ATTACKED[text] or text)
