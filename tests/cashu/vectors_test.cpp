// Every entry of the published vectors is a test case of its own. They are registered before main()
// from what the files hold, by what doctest's TEST_CASE stands for.
#include <algorithm>
#include <deque>
#include <filesystem>
#include <map>
#include <set>

#include "cashu/vector_cases.h"

namespace nutgate::test {
namespace {

struct VectorCase {
    std::string name;
    const VectorSection* section = nullptr;
    std::size_t index = 0;
};

// Vectors of others than Cashu's, which the tests of their modules read.
const std::set<std::string> kOthers{"bip340",        "bip39",         "bolt11",
                                    "bolt12_format", "bolt12_offers", "bolt12_signature",
                                    "nip01",         "nip44"};

const Json& document(const std::string& name) {
    static std::map<std::string, Json> documents;
    const auto found = documents.find(name);
    if (found != documents.end()) return found->second;
    std::ifstream file{std::string{NUTGATE_VECTORS} + "/" + name + ".json"};
    return documents.emplace(name, Json::parse(file, nullptr, false)).first->second;
}

const Json& at(const VectorSection& section) {
    return document(section.file).at(Json::json_pointer{section.place});
}

std::size_t count(const VectorSection& section) {
    return at(section).is_array() ? at(section).size() : 1;
}

const std::vector<VectorSection>& sections() {
    static const auto all = [] {
        std::vector<VectorSection> result;
        for (const auto& part : {curve_vectors(), lock_vectors(), quote_vectors(),
                                 request_vectors(), token_vectors()}) {
            result.insert(result.end(), part.begin(), part.end());
        }
        return result;
    }();
    return all;
}

// What says which one it is, without what means something to a test runner.
std::string label(const Json& entry) {
    std::string text;
    for (const char* key : {"name", "reason"}) {
        if (text.empty() && entry.contains(key)) text = entry[key].get<std::string>();
    }
    constexpr std::string_view kMeaningful = ",;*?[]()\\\"";
    std::ranges::replace_if(
        text, [&](char c) { return kMeaningful.find(c) != std::string_view::npos; }, ' ');
    return text.empty() ? text : ": " + text;
}

const std::deque<VectorCase>& cases() {
    static const auto all = [] {
        std::deque<VectorCase> result;
        for (const VectorSection& section : sections()) {
            for (std::size_t i = 0; i < count(section); ++i) {
                const Json& entry = at(section).is_array() ? at(section)[i] : at(section);
                std::string place = section.place;
                std::ranges::replace(place, '/', ' ');
                result.push_back(
                    {"vectors " + section.file + place + " " + std::to_string(i) + label(entry),
                     &section, i});
            }
        }
        return result;
    }();
    return all;
}

void run_case() {
    const std::string name = doctest::getContextOptions()->currentTest->m_name;
    const auto found = std::ranges::find(cases(), name, &VectorCase::name);
    REQUIRE(found != cases().end());
    const VectorSection& section = *found->section;
    const Json& entry = at(section).is_array() ? at(section)[found->index] : at(section);
    INFO(entry.dump());
    section.check(document(section.file), entry);
}

[[maybe_unused]] const bool kRegistered = [] {
    for (const VectorCase& one : cases()) {
        doctest::detail::regTest(
            doctest::detail::TestCase(run_case, __FILE__, __LINE__,
                                      doctest_detail_test_suite_ns::getCurrentTestSuite()) *
            one.name.c_str());
    }
    return true;
}();

// Arrays of objects, wherever they lie: what a file holds as entries.
void find_entries(const Json& json, const std::string& place,
                  std::map<std::string, std::size_t>& found) {
    if (json.is_array()) {
        if (!json.empty() && json[0].is_object()) found[place] = json.size();
        return;
    }
    if (!json.is_object()) return;
    for (const auto& [key, value] : json.items()) find_entries(value, place + "/" + key, found);
}

TEST_CASE("vectors: every entry of every file is exercised, and none twice") {
    std::set<std::string> names;
    for (const VectorCase& one : cases()) CHECK(names.insert(one.name).second);
    std::set<std::string> files;
    for (const auto& file : std::filesystem::directory_iterator{NUTGATE_VECTORS}) {
        if (file.path().extension() == ".json") files.insert(file.path().stem().string());
    }
    for (const std::string& other : kOthers) CHECK(files.erase(other) == 1);
    for (const std::string& file : files) {
        CAPTURE(file);
        std::map<std::string, std::size_t> there;
        find_entries(document(file), "", there);
        std::map<std::string, std::size_t> exercised;
        for (const VectorCase& one : cases()) {
            if (one.section->file == file) ++exercised[one.section->place];
        }
        CHECK_FALSE(exercised.empty());
        for (const auto& [place, entries] : there) {
            CAPTURE(place);
            CHECK(exercised[place] == entries);
        }
    }
}

}  // namespace
}  // namespace nutgate::test
