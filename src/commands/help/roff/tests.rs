use super::*;

const SOURCE: &str = r#".TH X 1
.SH EXIT STATUS
Some
.B bold
and
.IR italic ,
\-\-long and \(dqquoted\(dq and \fBmore\fP text that is
longer than a line.
.PP
.nf
.RS
a  b \e
   c
.RE
.fi
.TP
.BI \-\-url " URL"
The URL.
.IP
More of it.
.TP
.B x
Short.
.IP \(bu 2
An item.
.SS Sub section
.B """two"" quotes"
"#;

#[test]
fn a_page_is_formatted_with_its_paragraphs_tags_and_examples() {
    let text = Page::of(SOURCE).text(40, false);
    let expected = r#"EXIT STATUS
    Some bold and italic, --long and
    "quoted" and more text that is
    longer than a line.

        a  b \
           c

    --url URL
        The URL.

        More of it.

    x   Short.

    • An item.

  Sub section
    "two" quotes
"#;
    assert_eq!(text, expected);
}

#[test]
fn fonts_are_shown_at_a_terminal_only() {
    let text = Page::of(".BR hallpass (1)\n.I FILE\n").text(80, true);
    assert_eq!(
        text,
        "    \u{1b}[1mhallpass\u{1b}[0m(1) \u{1b}[4mFILE\u{1b}[0m\n"
    );
}

#[test]
fn sections_are_named_as_topics() {
    let names: Vec<_> = sections(SOURCE).iter().map(Section::name).collect();
    assert_eq!(names, ["exit-status", "sub-section"]);
}
