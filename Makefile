# Countersign: build, test, install. `make help` lists the targets.
CC      ?= cc
PYTHON  ?= /usr/bin/python3
PREFIX  ?= /usr/local
SYSCONF ?= /etc
DESTDIR ?=
VERSION := 0.1.0

SHELL       := /bin/bash
# V=1 shows the commands
Q := $(if $(V),,@)
.SHELLFLAGS := -eu -o pipefail -c

# release (default), debug, asan (AddressSanitizer and UndefinedBehaviorSanitizer); clang and fuzz are
# for `make lint` and `make fuzz`
BUILD ?= release
OUT   := build/$(BUILD)

PACKAGES := libevent_core openssl libcyaml yaml-0.1 json-c libseccomp libcap libsystemd zlib \
            krb5 krb5-gssapi
PKG_CFLAGS := $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lpthread

# NTLM of domain users, by winbind, where libwbclient is there to build with; WINBIND=no leaves it out.
WINBIND ?= $(shell pkg-config --exists wbclient && echo yes || echo no)
ifeq ($(WINBIND),yes)
PKG_CFLAGS += -DHAVE_WBCLIENT $(shell pkg-config --cflags wbclient)
PKG_LIBS   += $(shell pkg-config --libs wbclient)
endif

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes
HARDENING := -fstack-protector-strong -fPIE
CFLAGS_release := -O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
CFLAGS_debug   := -O0 -g3
CFLAGS_asan    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
CFLAGS_clang   := $(CFLAGS_release)
CFLAGS_fuzz    := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
                  -fno-sanitize-recover=all
LDFLAGS_release := -Wl,-z,relro,-z,now
LDFLAGS_clang   := $(LDFLAGS_release)
LDFLAGS_asan    := -fsanitize=address,undefined
LDFLAGS_fuzz    := -fsanitize=fuzzer,address,undefined

ALL_CFLAGS  = -std=c11 -D_GNU_SOURCE -DCOUNTERSIGN_VERSION='"$(VERSION)"' -I. $(WARNINGS) $(HARDENING) \
              $(CFLAGS_$(BUILD)) $(PKG_CFLAGS) $(CFLAGS)
ALL_LDFLAGS = -pie $(LDFLAGS_$(BUILD)) $(LDFLAGS)

SOURCES := $(filter-out proxy/main.c,$(wildcard crypto/*.c policy/*.c proxy/*.c))
HEADERS := $(wildcard crypto/*.h policy/*.h proxy/*.h)
OBJECTS := $(SOURCES:%.c=$(OUT)/%.o)
LIBRARY := $(OUT)/libcountersign.a
PROGRAM := $(OUT)/countersign

UNIT_SOURCES := $(wildcard tests/unit/test_*.c)
UNIT_TESTS   := $(UNIT_SOURCES:tests/unit/%.c=$(OUT)/tests/%)
FUZZERS      := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_DRIVERS := $(FUZZERS:%=$(OUT)/fuzz_%)
C_FILES      := $(wildcard crypto/*.[ch] policy/*.[ch] proxy/*.[ch] tests/unit/*.[ch] tests/fuzz/*.[ch] \
                  tests/bench/*.[ch] tests/integration/*.[ch])
BENCH_PROGRAMS := $(addprefix $(OUT)/bench/,load relay server)
BENCH_SHARED   := $(addprefix $(OUT)/tests/bench/,client.o endpoint.o peer.o)

FUZZ_SECONDS ?= 30
FUZZ_CC      ?= clang

.PHONY: all tests fuzzers bench-programs help deps demo bench check check-unit check-confinement \
        check-integration conformance conformance-quick lint format lint-format lint-layers lint-length \
        lint-warnings fuzz install uninstall clean
.DELETE_ON_ERROR:

all: $(PROGRAM)

help:
	@echo 'make                build $(PROGRAM) (BUILD=release|debug|asan)'
	@echo 'make deps           install what build, tests and demo need (Debian, Ubuntu; as root)'
	@echo 'make demo           the whole story against a real file server (KEEP=1 leaves it running)'
	@echo 'make check          lint, unit and integration tests with ASan and UBSan'
	@echo 'make conformance    smbtorture directly and through the proxy, compared test by test (half an hour; as root)'
	@echo 'make lint           formatting, layers, file sizes, warnings under gcc and clang'
	@echo 'make fuzz           every fuzz driver for FUZZ_SECONDS ($(FUZZ_SECONDS)) each'
	@echo 'make bench          what the proxy costs, measured against a plain relay (minutes; as root)'
	@echo 'make install        into $$DESTDIR$$PREFIX ($(PREFIX)); make uninstall takes it away'
	@echo 'make clean          remove build/'

deps:
	deploy/install-packages all

demo:
	deploy/demo

# Building.

$(OUT)/%.o: %.c
	@mkdir -p $(@D)
	@echo '  cc   $@'
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(LIBRARY): $(OBJECTS)
	@echo '  ar   $@'
	$(Q)rm -f $@ && ar rcs $@ $^

$(PROGRAM): $(OUT)/proxy/main.o $(LIBRARY)
	@echo '  link $@'
	$(Q)$(CC) $(ALL_LDFLAGS) $^ $(PKG_LIBS) -o $@

$(OUT)/tests/%: tests/unit/%.c $(LIBRARY)
	@mkdir -p $(@D)
	@echo '  link $@'
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -MF $@.d $< $(LIBRARY) $(ALL_LDFLAGS) -lcmocka $(PKG_LIBS) -o $@

tests: $(UNIT_TESTS)

$(OUT)/fuzz_%: tests/fuzz/fuzz_%.c $(LIBRARY)
	@echo '  link $@'
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -MF $@.d $< $(LIBRARY) $(ALL_LDFLAGS) $(PKG_LIBS) -o $@

fuzzers: $(FUZZ_DRIVERS)

$(BENCH_PROGRAMS): $(OUT)/bench/%: $(OUT)/tests/bench/%.o $(BENCH_SHARED) $(LIBRARY)
	@mkdir -p $(@D)
	@echo '  link $@'
	$(Q)$(CC) $(ALL_LDFLAGS) $^ $(PKG_LIBS) -o $@

bench-programs: $(BENCH_PROGRAMS)

# BENCH='cpu memory' measures only these; see tests/bench/run.py. Nothing here belongs in `make check`.
BENCH ?=
bench: $(PROGRAM) $(BENCH_PROGRAMS)
	@COUNTERSIGN=$(CURDIR)/$(PROGRAM) $(PYTHON) tests/bench/run.py $(OUT)/bench $(BENCH)

# Testing. Each step is a make of its own, since each has its own BUILD.

check:
	$(MAKE) lint
	$(MAKE) check-unit BUILD=asan
	$(MAKE) check-confinement BUILD=release
	$(MAKE) check-integration BUILD=asan
	$(MAKE) check-integration BUILD=release INTEGRATION='$(INTEGRATION_CONFINED)'
	$(MAKE) conformance-quick BUILD=release

check-unit: tests
	tests/unit/run $(UNIT_TESTS)

# The system call filter and AddressSanitizer do not go together: see proxy/process.h.
CONFINEMENT_TESTS := $(filter %/test_process %/test_supervisor,$(UNIT_TESTS))
INTEGRATION_CONFINED := $(addprefix tests/integration/test_,processes.py clients.py reload.py \
    reload_refused.py names.py transparent.py kerberos_delegate.py kerberos_accounts.py kerberos_domain.py)
check-confinement: $(CONFINEMENT_TESTS)
	tests/unit/run $(CONFINEMENT_TESTS)

# A test that is skipped tests nothing: it counts as failed. The tests wait more than they compute,
# each on ports and in directories of its own; a file's tests share their peers, and stay together.
INTEGRATION := tests/integration tests/attack
INTEGRATION_AT_ONCE ?= 2
check-integration: $(PROGRAM)
	COUNTERSIGN=$(CURDIR)/$(PROGRAM) $(PYTHON) -m pytest -q -rs -p no:cacheprovider \
	    -n $(INTEGRATION_AT_ONCE) --dist loadfile $(INTEGRATION) | tee $(OUT)/integration.log
	@if grep -Eq '^[0-9a-z, ]*[0-9]+ skipped' $(OUT)/integration.log; then \
	    echo 'make: integration tests were skipped' >&2; exit 1; fi

# See docs/conformance.md.
CONFORMANCE = COUNTERSIGN=$(CURDIR)/$(PROGRAM) $(PYTHON) tests/conformance/run --output $(OUT)/conformance
conformance: $(PROGRAM)
	$(CONFORMANCE)

conformance-quick: $(PROGRAM)
	$(CONFORMANCE) --quick

fuzz:
	$(MAKE) fuzzers BUILD=fuzz CC=$(FUZZ_CC)
	tests/fuzz/run $(FUZZ_SECONDS) build/fuzz $(FUZZERS)

lint: lint-format lint-layers lint-length lint-warnings

# Puts every C file into the form that lint-format asks for.
format:
	@clang-format -i $(C_FILES)

lint-format:
	@clang-format --dry-run -Werror $(C_FILES)

# proxy/ may use policy/ and crypto/; those use neither proxy/ nor each other.
lint-layers:
	@if grep -nE '^ *# *include *[<"](proxy|policy)/' crypto/*.[ch]; then \
	    echo 'lint: crypto/ must not use proxy/ or policy/' >&2; exit 1; fi
	@if grep -nE '^ *# *include *[<"](proxy|crypto)/' policy/*.[ch]; then \
	    echo 'lint: policy/ must not use proxy/ or crypto/' >&2; exit 1; fi

FILE_LINES_MAX := 600
lint-length:
	@awk 'FNR == $(FILE_LINES_MAX) + 1 { print FILENAME ": more than $(FILE_LINES_MAX) lines"; bad = 1 } \
	    END { exit bad }' $(C_FILES) $(wildcard tests/*/*.py deploy/demo deploy/install-packages)

# gcc compiles the tests in the asan build; at -O2 it takes some of their deliberate mistakes for real.
lint-warnings:
	$(MAKE) all bench-programs BUILD=release CC=gcc
	$(MAKE) all tests bench-programs BUILD=clang CC=clang

# Installing.

SBIN     := $(DESTDIR)$(PREFIX)/sbin
MAN8     := $(DESTDIR)$(PREFIX)/share/man/man8
UNITS    := $(DESTDIR)$(PREFIX)/lib/systemd/system
SYSUSERS := $(DESTDIR)$(PREFIX)/lib/sysusers.d
TMPFILES := $(DESTDIR)$(PREFIX)/lib/tmpfiles.d
CONF     := $(DESTDIR)$(SYSCONF)/countersign
ROTATE   := $(DESTDIR)$(SYSCONF)/logrotate.d

install: $(PROGRAM)
	install -d $(SBIN) $(MAN8) $(UNITS) $(SYSUSERS) $(TMPFILES) $(CONF) $(ROTATE)
	install -m 755 $(PROGRAM) $(SBIN)/countersign
	install -m 644 docs/countersign.8 $(MAN8)/countersign.8
	sed 's|@SBIN@|$(PREFIX)/sbin|g' deploy/countersign.service >$(UNITS)/countersign.service
	chmod 644 $(UNITS)/countersign.service
	install -m 644 deploy/sysusers.conf $(SYSUSERS)/countersign.conf
	install -m 644 deploy/tmpfiles.conf $(TMPFILES)/countersign.conf
	[ -e $(ROTATE)/countersign ] || install -m 644 deploy/logrotate.conf $(ROTATE)/countersign
	[ -e $(CONF)/proxy.yaml ] || install -m 644 proxy.yaml $(CONF)/proxy.yaml

# Configuration, credentials and logs are the administrator's and stay.
uninstall:
	rm -f $(SBIN)/countersign $(MAN8)/countersign.8 $(UNITS)/countersign.service \
	    $(SYSUSERS)/countersign.conf $(TMPFILES)/countersign.conf $(ROTATE)/countersign

clean:
	rm -rf build

-include $(OBJECTS:.o=.d) $(OUT)/proxy/main.d $(UNIT_TESTS:=.d) $(FUZZ_DRIVERS:=.d) \
    $(wildcard $(OUT)/tests/bench/*.d)
