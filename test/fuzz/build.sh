#!/bin/bash -eu
# SPDX-License-Identifier: GPL-2.0-only
# Builds the fuzz target of the core and packs its seeds, as OSS-Fuzz calls it: the compilers in $CC and $CXX, their options
# in $CFLAGS and $CXXFLAGS, the engine in $LIB_FUZZING_ENGINE, the result into $OUT.
cd "$(dirname "$0")/../.."
work=${WORK:-$OUT}

objects=()
for source in native/core/*.c test/core/host.c test/fuzz/core_fuzzer.c test/fuzz/model.c; do
	object=$work/$(basename "$source").o
	$CC $CFLAGS -std=c11 -D_POSIX_C_SOURCE=200809L -Inative/core -Itest/core -c "$source" -o "$object"
	objects+=("$object")
done
# An engine may be written in C++.
$CXX $CXXFLAGS $LIB_FUZZING_ENGINE "${objects[@]}" -o "$OUT/core_fuzzer"

rm -f "$OUT/core_fuzzer_seed_corpus.zip"
zip -q -j "$OUT/core_fuzzer_seed_corpus.zip" test/fuzz/corpus/*
