# The two commands of the README, and what they need.

CARGO ?= cargo
DEMO := config-samples/demo/coproc.toml

.PHONY: run test bench docs lint features static deb book deps clean

## Runs nginx with three coprocesses until Ctrl-C; the page is on http://127.0.0.1:8080/.
run:
	@sh .ci/install run
	$(CARGO) build --release
	mkdir -p target/demo
	exec target/release/coproc run -c $(DEMO)

## Runs all tests.
test: deps
	$(CARGO) test --workspace

## Measures coproc beside s6, runit, supervisord, tini, bare loops, an echo and nginx, in one run.
bench:
	@sh .ci/install bench
	$(CARGO) bench --bench wrapper --bench exec --bench coordinator --bench gateway --bench hooks

## Writes docs/config.md anew from the schema of the config.
docs:
	COPROC_WRITE_DOCS=1 $(CARGO) test --test reference the_page_of_the_config

## What a change has to pass before its tests.
lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

## Checks that each choice of the gateway's drivers builds, and that the one that makes no sense says why.
features:
	@CARGO='$(CARGO)' sh .ci/features

## Builds target/static/coproc, one file that needs no library, for images that hold nothing else.
static:
	@CARGO='$(CARGO)' sh packaging/static

## Builds a Debian package in target/debian.
deb:
	@CARGO='$(CARGO)' sh packaging/deb

## Makes a book of docs/ in target/book.
book:
	@CARGO='$(CARGO)' sh packaging/book

## Installs what is missing on a fresh Debian machine.
deps:
	@sh .ci/install

clean:
	$(CARGO) clean
