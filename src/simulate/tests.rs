use super::Expectations;

fn wrong(text: &str) -> String {
    Expectations::parse("a.toml", text.to_owned()).unwrap_err()
}

#[test]
fn a_test_that_cannot_fail_is_none() {
    for text in ["", "[scenario]\nfail = [\"main@5s\"]\n"] {
        let why = wrong(text);
        assert_eq!(why, "error: a.toml: nothing is expected\n  expected: an `[[expect]]`\n");
    }
}

#[test]
fn all_that_is_wrong_is_told_with_its_place() {
    let why = wrong("[[expect]]\norder = []\n\n[[expect]]\nnever = \"x\"\nexit = 1\n");
    assert_eq!(why.matches("--> a.toml:").count(), 2, "{why}");
}

#[test]
fn expectations_are_counted() {
    let text = "[[expect]]\nexit = 0\n\n[[expect]]\nnever = \"exit\"\n";
    assert_eq!(Expectations::parse("a.toml", text.to_owned()).unwrap().len(), 2);
}
