// A disk whose power can go at any write or sync, under every SQLite file of this process.
//
//     PowerLossDisk disk{seed};              // SQLite's default VFS while it lives.
//     { auto database = store::open(…); disk.cut_at(n); work(*database); }
//     disk.restore();                        // The files are what the platter had.
//     auto database = store::open(…);        // As after the reboot.
//
// A write goes to the file at once, for all to read, and is remembered until a sync of that file.
// What was not synced when the power went survives as the seed says, each write for itself and in
// no order: not at all, whole, in some of its sectors of 512 bytes, or as nothing but the growth of
// the file. The same of truncations, of a file that was made, and of one that was removed. From the
// cut on until restore() every access fails. No database is open then.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <sqlite3.h>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

#include "nutgate/base/verify.h"

namespace nutgate::test {

// Thread-safe, but for its beginning, restore() and its end.
class PowerLossDisk {
public:
    explicit PowerLossDisk(std::uint64_t seed) : seeded_{seed}, real_{*sqlite3_vfs_find(nullptr)} {
        vfs_ = real_;
        vfs_.pNext = nullptr;
        vfs_.zName = "power-loss";
        vfs_.szOsFile = static_cast<int>(sizeof(Handle)) + real_.szOsFile;
        vfs_.xOpen = &open;
        vfs_.xDelete = &remove;
        VERIFY(std::exchange(on_, this) == nullptr);
        VERIFY(sqlite3_vfs_register(&vfs_, 1) == SQLITE_OK);
    }
    ~PowerLossDisk() {
        sqlite3_vfs_unregister(&vfs_);
        on_ = nullptr;
    }
    PowerLossDisk(const PowerLossDisk&) = delete;
    PowerLossDisk& operator=(const PowerLossDisk&) = delete;

    // At the n-th write, truncation, sync or removal from now on. It is done in part or not at all.
    void cut_at(std::int64_t n) { left_ = n; }
    bool is_cut() const { return cut_; }
    // From now on a sync says that it is done, and does nothing: what no database survives.
    void lie() { lies_ = true; }
    // How many of them there were: how far cut_at() can reach.
    std::int64_t counted() const { return counted_; }

    void restore() {
        const std::lock_guard lock{mutex_};
        for (auto& [path, file] : files_) {
            const auto left = survives(file);
            ::unlink(path.c_str());
            ::unlink((path + "-shm").c_str());  // Memory, by another name.
            if (!left) continue;
            std::ofstream{path, std::ios::binary}.write(left->data(), std::ssize(*left));
        }
        files_.clear();
        left_ = 0;
        cut_ = false;
    }

private:
    using Bytes = std::vector<char>;
    static constexpr std::int64_t kSector = 512;

    struct Change {
        std::int64_t at;
        std::optional<Bytes> written;  // Or the file was truncated there.
    };
    struct File {
        std::optional<Bytes> synced;    // None of a file whose making was not synced.
        std::optional<Bytes> replaced;  // What had its name, and may have it again.
        std::vector<Change> changes;    // Since the sync.
        bool exists = true;
    };
    struct Handle : sqlite3_file {
        File* file;
        sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
    };

    // ---- What is left.

    bool one_in(int n) { return std::uniform_int_distribution<int>{1, n}(seeded_) == 1; }

    static void put(Bytes& bytes, std::int64_t at, const char* data, std::int64_t size) {
        if (std::ssize(bytes) < at + size) bytes.resize(static_cast<std::size_t>(at + size));
        std::copy_n(data, size, bytes.begin() + at);
    }

    void apply_torn(Bytes& bytes, const Change& change) {
        const Bytes& data = *change.written;
        for (std::int64_t done = 0; done < std::ssize(data);) {
            const std::int64_t to_border = kSector - (change.at + done) % kSector;
            const std::int64_t size = std::min(to_border, std::ssize(data) - done);
            if (one_in(2)) put(bytes, change.at + done, data.data() + done, size);
            done += size;
        }
    }

    static void apply(Bytes& bytes, const Change& change) {
        if (change.written) {
            put(bytes, change.at, change.written->data(), std::ssize(*change.written));
        } else if (change.at < std::ssize(bytes)) {
            bytes.resize(static_cast<std::size_t>(change.at));
        }
    }

    std::optional<Bytes> survives(File& file) {
        if (!file.exists) return one_in(2) ? file.replaced : std::nullopt;
        if (!file.synced && one_in(2)) return file.replaced;
        Bytes bytes = file.synced.value_or(Bytes{});
        // A disk that got to none of it, or to all of it, is what happens most.
        const int fate = std::uniform_int_distribution<int>{0, 3}(seeded_);
        for (const Change& change : file.changes) {
            if (fate == 0 || (fate > 1 && one_in(3))) continue;
            if (fate == 1 || !change.written || one_in(2)) {
                apply(bytes, change);
            } else if (one_in(4)) {
                const auto end = change.at + std::ssize(*change.written);
                if (std::ssize(bytes) < end) bytes.resize(static_cast<std::size_t>(end));
            } else {
                apply_torn(bytes, change);
            }
        }
        return bytes;
    }

    // ---- What happens. Each returns whether there still is power.

    bool counts() {
        if (cut_) return false;
        ++counted_;
        if (left_ > 0 && --left_ == 0) cut_ = true;
        return !cut_;
    }
    bool change(File& file, Change what) {
        const std::lock_guard lock{mutex_};
        if (cut_) return false;
        const bool powered = counts();
        file.changes.push_back(std::move(what));
        return powered;
    }
    bool synchronize(File& file) {
        const std::lock_guard lock{mutex_};
        if (!counts()) return false;
        if (lies_) return true;
        // SQLite's own VFS syncs the folder with the first sync of a file that it made.
        if (!file.synced) synchronize_folder();
        if (!file.synced) file.synced.emplace();
        for (const Change& change : std::exchange(file.changes, {})) apply(*file.synced, change);
        return true;
    }
    void synchronize_folder() {
        for (auto& [path, file] : files_) file.replaced.reset();
    }
    File& file_at(const std::string& path) {
        const std::lock_guard lock{mutex_};
        const auto found = files_.find(path);
        if (found == files_.end()) {
            File file;
            if (std::ifstream real{path, std::ios::binary}; real) {
                file.synced.emplace(std::istreambuf_iterator<char>{real},
                                    std::istreambuf_iterator<char>{});
            }
            return files_.emplace(path, std::move(file)).first->second;
        }
        found->second.exists = true;
        return found->second;
    }
    bool remove_at(const std::string& path, bool folder_synced) {
        const std::lock_guard lock{mutex_};
        if (!counts()) return false;
        const auto found = files_.find(path);
        if (found == files_.end()) return true;
        File& file = found->second;
        file.replaced = survives(file);
        if (folder_synced && !lies_) synchronize_folder();
        file.synced.reset();
        file.changes.clear();
        file.exists = false;
        return true;
    }

    // ---- SQLite's side.

    static Handle& of(sqlite3_file* file) { return *static_cast<Handle*>(file); }

    static int open(sqlite3_vfs*, const char* path, sqlite3_file* file, int flags, int* out) {
        Handle& handle = of(file);
        handle.pMethods = nullptr;
        handle.file = nullptr;
        if (on_->cut_) return SQLITE_CANTOPEN;
        constexpr int kKept = SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL;
        // Before it is made: what is there already was there before.
        const bool kept = path != nullptr && (flags & kKept) != 0;
        File* const state = kept ? &on_->file_at(path) : nullptr;
        const int code = on_->real_.xOpen(&on_->real_, path, handle.real(), flags, out);
        if (code != SQLITE_OK) return code;
        handle.file = state;
        handle.pMethods = &kMethods;
        return SQLITE_OK;
    }
    static int remove(sqlite3_vfs*, const char* path, int sync_folder) {
        if (!on_->remove_at(path, sync_folder != 0)) return SQLITE_IOERR_DELETE;
        return on_->real_.xDelete(&on_->real_, path, 0);
    }
    static int close(sqlite3_file* file) {
        sqlite3_file* const real = of(file).real();
        return real->pMethods->xClose(real);
    }
    static int read(sqlite3_file* file, void* into, int size, sqlite3_int64 at) {
        if (on_->cut_) return SQLITE_IOERR_READ;
        sqlite3_file* const real = of(file).real();
        return real->pMethods->xRead(real, into, size, at);
    }
    static int write(sqlite3_file* file, const void* data, int size, sqlite3_int64 at) {
        Handle& handle = of(file);
        const auto* const bytes = static_cast<const char*>(data);
        if (handle.file != nullptr &&
            !on_->change(*handle.file, {at, Bytes(bytes, bytes + size)})) {
            return SQLITE_IOERR_WRITE;
        }
        return handle.real()->pMethods->xWrite(handle.real(), data, size, at);
    }
    static int truncate(sqlite3_file* file, sqlite3_int64 size) {
        Handle& handle = of(file);
        if (handle.file != nullptr && !on_->change(*handle.file, {size, std::nullopt})) {
            return SQLITE_IOERR_TRUNCATE;
        }
        return handle.real()->pMethods->xTruncate(handle.real(), size);
    }
    static int sync(sqlite3_file* file, int) {
        Handle& handle = of(file);
        if (handle.file != nullptr && !on_->synchronize(*handle.file)) return SQLITE_IOERR_FSYNC;
        return SQLITE_OK;  // The machine below keeps its power.
    }
    // The rest is the real file's. SQLite calls what is in the second version of these; without the
    // third no page is mapped into memory, and so none is written behind our back.
    template <auto kMethod, class... Args>
    static int pass(sqlite3_file* file, Args... args) {
        sqlite3_file* const real = of(file).real();
        return (real->pMethods->*kMethod)(real, args...);
    }
    static void barrier(sqlite3_file* file) {
        sqlite3_file* const real = of(file).real();
        real->pMethods->xShmBarrier(real);
    }
    using M = sqlite3_io_methods;
    static constexpr M kMethods{.iVersion = 2,
                                .xClose = &close,
                                .xRead = &read,
                                .xWrite = &write,
                                .xTruncate = &truncate,
                                .xSync = &sync,
                                .xFileSize = &pass<&M::xFileSize>,
                                .xLock = &pass<&M::xLock>,
                                .xUnlock = &pass<&M::xUnlock>,
                                .xCheckReservedLock = &pass<&M::xCheckReservedLock>,
                                .xFileControl = &pass<&M::xFileControl>,
                                .xSectorSize = &pass<&M::xSectorSize>,
                                .xDeviceCharacteristics = &pass<&M::xDeviceCharacteristics>,
                                .xShmMap = &pass<&M::xShmMap>,
                                .xShmLock = &pass<&M::xShmLock>,
                                .xShmBarrier = &barrier,
                                .xShmUnmap = &pass<&M::xShmUnmap>,
                                .xFetch = nullptr,
                                .xUnfetch = nullptr};

    inline static PowerLossDisk* on_ = nullptr;

    std::atomic<bool> lies_ = false;
    std::atomic<std::int64_t> left_ = 0;
    std::atomic<std::int64_t> counted_ = 0;
    std::atomic<bool> cut_ = false;

    std::mutex mutex_;  // Over what is below.
    std::mt19937_64 seeded_;
    std::map<std::string, File> files_;  // By path: they stay where they are.

    sqlite3_vfs real_;
    sqlite3_vfs vfs_{};
};

}  // namespace nutgate::test
