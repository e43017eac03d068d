"""Wikitext as people write it: no number is invented, no word lost in silence."""

import pytest

from helpers import mrclean, sources
from mrclean import Document, wikitext

# Wikitext, and what a reader must see of it.
SEEN = {
    "The war (1914{{ndash}}1918)": "The war (1914–1918)",
    "5.98{{e|24}} kg": "5.98×10^24 kg",
    "10<sup>9</sup> years, m<sup>2</sup>, the 19<sup>th</sup>": "10^9 years, m^2, the 19th",
    "H<sub>2</sub>O": "H2O",
    "5{{frac|1|2}} and {{frac|2|1|3}}": "5 1/2 and 2 1/3",
    "{{convert|400|to|670|mm}}": "400 to 670 mm",
    "{{convert|5|-|7|km|mi|abbr=on}}": "5–7 km",
    "{{cvt|6|ft|2|in}}": "6 ft 2 in",
    "He said: {{quote|We shall fight.|Churchill}}": "He said:\nWe shall fight.\n— Churchill",
    "{{cquote|text=All is well.}} So": "All is well.\nSo",
    "{{formatnum:6000}} people": "6,000 people",
    "{{w|nuclear weapon|nuclear weapons}}": "nuclear weapons",
    "{{lang-de|Wien}}, {{chem|H|2|O}}": "Wien, H2O",
    "{{as of|2010|5}}, {{as of|2010|lc=y}}": "As of May 2010, as of 2010",
    "{{abbr|AB|a b}} {{val|5|e=3|u=m}}": "AB 5×10^3 m",
    "{{birth date|1879|3|14}} {{start date|1879|3|14|df=y}}": "March 14, 1879 14 March 1879",
    "{{nihongo|Tokyo|東京|Tōkyō}}": "Tokyo (東京, Tōkyō)",
    "{{US$|5}} {{circa|1900}} {{sic|hte}}": "US$5 c. 1900 hte",
    "'''Achilles''' ({{IPAc-en|ə}}; {{lang-grc|Ἀχ}}, ''Akhilleus'') was": "Achilles (Ἀχ, Akhilleus) was",
    "The ''Titanic'''s sinking": "The Titanic's sinking",
    "L''''armonium'''": "L'armonium",
    "'''''both''''' '''bold''' ''it''": "both bold it",
    "__NOTOC__ a __EXPECTED_UNCONNECTED_PAGE__ b__DISAMBIG__ __init__ __NAME__": "a b __init__ __NAME__",
    "* a\n** b\n* c": "- a\n- b\n- c",
    "<div>a</div><div>b</div>": "a\n\nb",
    "[[simple:Foo]] z": "z",
}


# What an attacker found.
SEEN |= {
    "He hit .300 with a .45, the .NET framework .": "He hit .300 with a .45, the .NET framework.",
    "1914{{endash}}1918 5{{nnbsp}}000 1.5{{x10^|8}} km a{{br}}b": "1914–1918 5 000 1.5×10^8 km a\nb",
    "The ''Iliad''{{'}}s and the ''Odyssey''{{'}}s heroes": "The Iliad's and the Odyssey's heroes",
    "'''RMS Titanic''' was a ship. The ''Titanic''<nowiki/>'s bow": "RMS Titanic was a ship. The Titanic's bow",
    "{{convert|7|lb|8|oz|kg}}, {{convert|26|mi|385|yd|km}}": "7 lb 8 oz, 26 mi 385 yd",
    "2<sup>n</sup>, 10<sup>–9</sup>, 1010<sub>2</sub>, 19<sup>th</sup>": "2^n, 10^–9, 1010_2, 19th",
    "{{harvtxt|Smith|2001}} and {{clarify span|flows to the sea}}": "Smith (2001) and flows to the sea",
    "({{langx|de|Wien}}) B{{music|flat}} {{script|Grek|α}}": "(Wien) B♭ α",
    "{{rquote|right|Nothing to fear.|Roosevelt}} {{as of|2010|March|5}}": "Nothing to fear.\nAs of 5 March 2010",
    "{{val|9.109|(15)|e=-31}} {{font color|red|white|shown}}": "9.109(15)×10^-31 shown",
    "<code>printf()</code> and main() but Albedo () is": "printf() and main() but Albedo is",
    "5{{unheard of}}6": "5 6",
}


# Numbers that were changed in silence.
SEEN |= {
    "5{{1/2}} miles, 5{{half}}, {{CO2}}": "5 1/2 miles, 5 1/2, CO2",
    "{{convert|between|5|and|6|km}}": "between 5 and 6 km",
    "5<sup>1</sup>/<sub>2</sub> 5<small><sup>1</sup>/<sub>2</sub></small>": "5 1/2 5 1/2",
    "5<small><sup>2</sup></small> 5<small>{{frac|1|2}}</small>": "5^2 5 1/2",
    "{{val|5|+2|-1|u=m}} {{val|5|2|1}} {{val|5|2}}": "5 +2 −1 m 5 +2 −1 5 ± 2",
    "{{date|11|9|2001}} {{date|11|September|2001}}": "11 9 2001 11 September 2001",
    "{{birth date|-63|9|23}}": "September 23, 63 BC",
    "{{lc:ABC}} {{uc:abc}}": "abc ABC",
}


@pytest.mark.parametrize("page", SEEN)
def test_what_a_reader_sees(page):
    assert mrclean.plain_text(page) == SEEN[page] + "\n"


def test_a_section_of_sources_stays_when_it_has_sentences():
    river = "The river rises in the hills above the town and flows through three valleys to the sea."
    assert river in mrclean.plain_text(f"A.\n\n== Sources ==\n{river}")
    assert mrclean.plain_text("A.\n\n== Sources ==\n* [http://example.org a book]") == "A.\n"


def test_what_is_not_known_is_counted_with_its_words():
    text, unknown = wikitext.read("{{Some  new_thing|three plain words|x={{quote|and more}}}} rest {{Infobox x|a=b}}")
    assert text == "rest\n" and unknown == {"some new thing": 5 + 1}  # and the template's name in it
    # Without an argument, too; and what only begins like a box or a note.
    assert wikitext.read("{{FRA}} {{years ago|5}}{{movement|two words}} {{#if:a|b c|d}}")[1] == {
        "fra": 1, "years ago": 1, "movement": 2, "#if": 1,
    }  # fmt: skip
    assert not wikitext.read("{{Harvnb|A|1}}{{Use dmy dates}}{{Pp-move-indef}}{{redirect2|a}}{{Cite web|b}}")[1]
    page = Document(
        "a", "wiki", "t", "a", text="{{Some new thing|three plain words}} " + "A sentence. " * 30, codec="utf-8"
    )
    (account,) = mrclean.clean([page]).account.values()
    assert account["left_out"] == {"some new thing": 3}


def test_no_quotation_of_the_course_is_lost_and_little_is_unknown():
    pages = [d for d in mrclean.read_wiki(sorted(sources.fetch("gensim").glob("enwiki*"))[0]) if d.namespace == 0]
    quotations = words = unknown = 0
    for page in pages:
        text, left_out = wikitext.read(page.text)
        unknown += sum(left_out.values())
        words += len(text.split())
        assert "(;" not in text and "(," not in text, page.id
        for quoted in page.text.lower().split("{{quote|")[1:]:
            begin = " ".join(
                mrclean.plain_text(quoted.removeprefix("text=").split("|")[0].split("}}")[0].split("{{")[0]).split()[:4]
            )
            assert begin in " ".join(text.lower().split()), (page.id, begin)
            quotations += 1
    assert quotations > 20 and unknown < 0.01 * words


def test_empty_marks_in_a_row_take_linear_time():
    assert mrclean.plain_text(" ,;" * 100_000)
