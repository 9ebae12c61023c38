# The two commands: make demo, make test. Both set themselves up and can be run again at once.

SWIFT ?= swift
SOURCES := Package.swift Sources Tests
ifdef COLLAFUSE_PC_DIR
export PKG_CONFIG_PATH := $(COLLAFUSE_PC_DIR):$(PKG_CONFIG_PATH)
endif

.PHONY: help demo demo-baseline loadtest bench-denoise parity bench-mixed bench-tricks check-gpu bench-broker faults faults-long picture test \
	sanitize fuzz fuzz-long build setup format lint clean

help:
	@echo "make demo    build, then train and sample on real digits with clients, a broker and workers on this machine"
	@echo "make demo-baseline   compare the demo with each client alone, at equal CPU time"
	@echo "make picture  the README's picture anew, from the last demo"
	@echo "make loadtest  a broker, stub workers and a thousand synthetic clients on this machine; LOADTEST=options of collafuse loadtest"
	@echo "make faults  kill, stop, cut off and starve real processes for three minutes; as root also their network and disks"
	@echo "make bench-denoise   measure denoising and training against PyTorch and diffusers: PYTHON=a Python that has them"
	@echo "make parity          the same networks here and in diffusers, number by number: PYTHON=a Python that has it"
	@echo "make bench-mixed     what training in mixed precision costs, on the digits: PYTHON=a Python with torch and diffusers"
	@echo "make bench-tricks    what tricks that are not taken would gain: PYTHON=a Python with torch and diffusers"
	@echo "make bench-broker    measure the broker against libzmq's proxy; BENCH=options of collafuse bench broker, such as --peers"
	@echo "make test    build and run all tests"
	@echo "make check-gpu  whether a GPU computes what the CPU does, and how fast: docs/gpu.md; DEVICE=cuda:1 for another"
	@echo "make sanitize  the tests under ThreadSanitizer and AddressSanitizer: docs/threads.md says which"
	@echo "make fuzz    two minutes of fuzzing; make fuzz-long: ten million executions of each decoder, hours"
	@echo "make build   the optimised commands: .build/release/collafuse and collafuse-compute"
	@echo "make setup   system packages and libtorch only"
	@echo "make format  lay the sources out; make lint checks that they are"
	@echo "make clean   remove what was built and made (.build, .build-example, out); the fetched libtorch stays"

demo: build
	.build/release/collafuse up topology/quickstart.yaml

demo-baseline: build
	test -f out/demo/summary.json || .build/release/collafuse up topology/quickstart.yaml
	.build/release/collafuse baseline --folder out/demo

LOADTEST ?= --clients 1000 --stage 10s@100..500 --stage 20s@500

loadtest: build
	.build/release/collafuse loadtest --local $(LOADTEST) --json out/loadtest/report.json --html out/loadtest/report.html

picture: out/demo/picture.svg
	cp $< docs/images/demo.svg

out/demo/picture.svg:
	@echo "there is no finished demo yet: run make demo first" >&2; exit 1

# Tests that kill processes or look at the clock run after the others, which would hold them up.
TIMED := 'CommandTests|BrokerTests|ReachTests|ServerTests'

PYTHON ?= python3

bench-denoise: build
	mkdir -p out
	.build/release/collafuse bench denoise --python $(PYTHON) --json out/bench-denoise.json

parity: build
	mkdir -p out
	$(PYTHON) ops/bench/parity.py --json out/parity.json

bench-mixed: build
	mkdir -p out
	$(PYTHON) ops/bench/mixed.py --json out/mixed.json

bench-tricks:
	mkdir -p out
	$(PYTHON) ops/bench/tricks.py --json out/tricks.json

DEVICE ?= cuda

check-gpu: build
	mkdir -p out
	.build/release/collafuse bench device --device $(DEVICE) --json out/device.json

FAULTS ?= --seconds 180

faults: build
	$(PYTHON) ops/faults/faults.py $(FAULTS) --json out/faults.json

faults-long: build
	$(PYTHON) ops/faults/faults.py --seconds 3000 --faults 1000 --jobs 100000 --rate 120 --gap 1.1 --json out/faults-long.json

BENCH ?=

bench-broker: build
	mkdir -p out
	.build/release/collafuse bench broker $(BENCH) --json out/bench-broker.json

# Tests run beside each other: a thread each, or libtorch's threads wait for one another.
test: export OMP_NUM_THREADS := 1
test: setup
	ops/test-setup
	$(SWIFT) build --build-tests
	ops/test-example
	$(SWIFT) test --skip-build --skip $(TIMED)
	$(SWIFT) test --skip-build --no-parallel --filter $(TIMED)

sanitize: setup
	ops/sanitize thread
	ops/sanitize address

fuzz: setup
	ops/fuzz seconds 13

fuzz-long: setup
	ops/fuzz runs 10000000

build: setup
	$(SWIFT) build -c release

setup:
	@ops/setup

format:
	$(SWIFT) format --in-place --parallel --recursive $(SOURCES)

lint:
	$(SWIFT) format lint --strict --parallel --recursive $(SOURCES)

clean:
	rm -rf .build .build-example .build-fuzz .build-thread .build-address out
