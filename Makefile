# Each target is one readable command. The two that matter: `make demo` shows Sluice at work, `make test` proves it.

.PHONY: demo test check fuzz bench bench-inline bench-model model corpus corpus-unseen packages image image-test power-cuts cross sizes deb ipk container

# KEEP=1 leaves the demonstration running for a look with a browser.
demo: packages
	cargo build --release --workspace
	cargo run --release --quiet --package system-tests --bin demo

# Everything, the tests in network namespaces included. Needs root, as they do. Programs are built with the tests that run them.
test: packages check
	cargo test --workspace --no-fail-fast --features model-compiler/train -- --test-threads=6

# Format and lints, with warnings as errors, and the same of the program without TLS.
check:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --features model-compiler/train -- -D warnings
	cargo clippy --package sluice --no-default-features -- -D warnings

# The program for another machine, static and stripped: target/$(TARGET)/release/sluice. TLS=0 leaves TLS out, and builds
# for size.
TARGET ?= aarch64-unknown-linux-musl
cross:
	tests/lab/install-packages python3-venv
	packaging/cross $(TARGET) build --release --package sluice $(if $(filter 0,$(TLS)),--no-default-features --config packaging/small.toml)

# The same as a Debian package, in target/packages/; packaging/README.md says what it does.
deb: cross
	packaging/debian/build $(TARGET)

# The same as a package of OpenWrt, up to 24.10; OPENWRT_ARCH is what `opkg print-architecture` says on the router.
ipk: cross
	packaging/openwrt/build $(TARGET) $(OPENWRT_ARCH)

# The same as a container image, by podman or docker.
container: cross
	packaging/container/build $(TARGET)

# The image of a board, made by Buildroot: make image BOARD=raspberrypi4-64; buildroot/README.md says what it needs. Some hours the
# first time.
image:
	buildroot/image $(BOARD)

# How large that program is, with TLS and without, by section and by crate.
sizes:
	tests/lab/install-packages binutils python3-venv
	packaging/sizes $(TARGET)

# An image with the files of overlay/ boots on an emulated board between two hosts, and protects them; says how long that took.
image-test: packages
	cargo build --workspace --features model-compiler/train
	cargo test --package system-tests --test together image:: -- --nocapture

# The plug of the same board is pulled a hundred times, while it starts and while its database is written; `make test` does so twice.
CUTS ?= 100
power-cuts: packages
	cargo build --workspace --features model-compiler/train
	CUTS=$(CUTS) cargo test --package system-tests --test together power_cuts_at_any_moment -- --nocapture

# Packets a second, step by step and whole, then the live path (needs root), then each step alone, then instructions per packet against those recorded,
# then verdicts (bench-model, below; needs the network).
# PEERS=1 runs Suricata and NFStream on the same capture (needs root); RECORD=1 records the instructions.
SHARED ?= ../shared
PEERS_DIR ?= /tmp/peers
bench:
	tests/lab/install-packages python3 valgrind zstd $(if $(filter 1,$(PEERS)),python3-venv time)
	cargo build --release --package sluice --package system-tests --bin sluice --bin bench
	cargo run --release --quiet --package system-tests --bin bench -- $(SHARED) $(PUBLIC) $(if $(filter 1,$(PEERS)),$(PEERS_DIR))
	cargo run --release --quiet --package system-tests --bin bench -- live
	cargo bench --quiet --package sluice --bench path
	cargo bench --quiet --package sluice --bench instructions -- $(if $(filter 1,$(RECORD)),--record)
	$(MAKE) --no-print-directory bench-model

# What Sluice costs as a bridge, and how fast it stops an attacker, in network namespaces: needs root. Suricata takes part where
# it is installed in PEERS_DIR; PEERS=1 installs it (needs the network).
ROUNDS ?= 5
bench-inline: packages
	$(if $(filter 1,$(PEERS)),tests/lab/install-packages python3 python3-venv)
	$(if $(filter 1,$(PEERS)),$(SHARED)/peers/setup $(PEERS_DIR))
	cargo build --release --package sluice --package system-tests --bin sluice --bin bench-inline
	cargo run --release --quiet --package system-tests --bin bench-inline -- --rounds $(ROUNDS) $(PEERS_DIR)

# ns per verdict of compiled models beside the C that m2cgen and tl2cgen make of them, and scikit-learn; installs these below
# target/ (needs the network).
bench-model:
	tests/lab/install-packages binutils gcc libc6-dev python3 python3-venv
	cargo bench --quiet --package model-compiler --features train --bench models

# Each fuzz target for FUZZ_S seconds, on nightly Rust, without a sanitizer, which finds nothing in a crate that forbids unsafe code
# and takes most of the time. What is found new is kept below target/, so that the tree stays clean.
FUZZ_S ?= 60
FUZZ_TARGETS = decode capture_file flow_table extractor
FUZZ = cargo +nightly fuzz run --fuzz-dir appliance/traffic/fuzz --dev --sanitizer none --features libfuzzer
fuzz:
	cargo +nightly fuzz --version || cargo install cargo-fuzz --locked
	set -e; for target in $(FUZZ_TARGETS); do \
		mkdir -p target/fuzz/$$target; \
		$(FUZZ) $$target target/fuzz/$$target appliance/traffic/fuzz/corpus/$$target -- \
			-max_total_time=$(FUZZ_S) -timeout=5 -verbosity=0 -print_final_stats=1; \
	done

# Debian packages that the laboratory uses; nothing happens where all of them are installed.
packages:
	tests/lab/install-packages

# Records labelled captures in the laboratory; what is there already is kept. ONLY=NAME records what is called so or begins so,
# AGAIN=1 also what is there, SEED=N draws other lines, losses and pauses.
CORPUS ?= target/corpus
SEED ?= 1
corpus: packages
	cargo build --release --package system-tests --bin record-corpus
	target/release/record-corpus $(CORPUS) --seed $(SEED) $(if $(ONLY),--only $(ONLY)) $(if $(filter 1,$(AGAIN)),--again)

# Records captures that no model learns from, of other tools, a browser and an evening of an hour, into a corpus of their own. An hour.
UNSEEN ?= target/unseen
corpus-unseen: packages
	tests/lab/install-packages avahi-daemon ffuf gobuster goldeneye mdns-scan minidlna miniupnpc samba sqlmap thc-ipv6 wfuzz
	cargo build --release --package system-tests --bin record-corpus
	target/release/record-corpus $(UNSEEN) --unseen --seed $(SEED)

# Trains a model, measures it and what the appliance decides by it, and writes its card and a report. PUBLIC is a folder with labels.csv and pcap/; see models/README.md.
MODEL ?= forest
PUBLIC ?= target/data/labelled
ROWS ?= target/rows.csv
DECISIONS ?= target/decisions.json
REPORT ?= target/report.html
# Each source is measured, and decided about, by a model of all others: the strictest measure, which takes as many trainings (half an hour). A
# number is quicker.
FOLDS ?= each-source
THRESHOLDS ?= 3,4,6,8,10,12,16,20
CORPORA = --corpus public=$(PUBLIC) --corpus laboratory=$(CORPUS)
TRAINER = cargo run --release --quiet --package model-compiler --features train --
model:
	$(TRAINER) extract models/$(MODEL) $(CORPORA) --rows $(ROWS)
	$(TRAINER) train models/$(MODEL) --rows $(ROWS)
	$(TRAINER) forms models/$(MODEL) --rows $(ROWS)
	cargo build --release --package sluice
	$(TRAINER) decide models/$(MODEL) $(CORPORA) --rows $(ROWS) --sluice target/release/sluice --folds $(FOLDS) --block-evidence $(THRESHOLDS) --out $(DECISIONS)
	$(TRAINER) evaluate models/$(MODEL) --rows $(ROWS) --folds $(FOLDS) --decisions $(DECISIONS) --card --report $(REPORT)
