# Reads the output of `ctest --verbose` and prints "PASSED FAILED". A ctest entry counts as many
# tests as it says ("3 passed, 0 failed", or unittest's "Ran 3 tests"), or as one. An entry that
# failed without a failed test (it crashed, or a sanitizer spoke at its end) counts as one failed.
/^[0-9]+: [0-9]+ passed, [0-9]+ failed\r?$/ {
    entry = $1 + 0; said[entry] = 1; passed[entry] += $2; failed[entry] += $4
}
/^[0-9]+: Ran [0-9]+ tests? in / {
    entry = $1 + 0; said[entry] = 1; passed[entry] += $3
}
/^[0-9]+: (OK|FAILED) \(.*\)$/ {
    entry = $1 + 0
    for (i = 3; i <= NF; i++) {
        number = $i; gsub(/[^0-9]/, "", number)
        passed[entry] -= number
        if ($i !~ /skipped/) failed[entry] += number
    }
}
/^ *[0-9]+\/[0-9]+ Test +#[0-9]+: / {
    entry = $0; sub(/^[^#]*#/, "", entry); entry += 0
    good = / Passed +[0-9.]+ sec/
    if (!said[entry]) passed[entry] = good
    if (!good && !failed[entry]) failed[entry] = 1
    all_passed += passed[entry]; all_failed += failed[entry]
}
END { print all_passed + 0, all_failed + 0 }
