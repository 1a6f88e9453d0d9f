// Books that only remember, in the same database, what they were told: so what is rolled back was
// never told. They can be made to refuse.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "nutgate/cashu/wallet.h"
#include "nutgate/store/migration.h"

namespace nutgate::test {

class RecordingSettler final : public cashu::Settler {
public:
    struct Told {
        std::string event;
        std::string reference;
        Msat amount;
        Msat fee;
        std::string token;
    };

    static void migrate(store::Database& database) {
        static constexpr store::Migration kMigrations[] = {
            {1,
             "CREATE TABLE told (event TEXT NOT NULL, reference TEXT NOT NULL, amount BIGINT NOT "
             "NULL, fee BIGINT NOT NULL, token TEXT NOT NULL)"}};
        VERIFY(store::migrate(database, "told", kMigrations).has_value());
    }
    static std::vector<Told> told(store::Database& database) {
        const auto all = database.read([](store::Reader& reader)
                                           -> Result<std::vector<Told>, store::StoreFailure> {
            std::vector<Told> events;
            for (const auto& row :
                 reader.query("SELECT event, reference, amount, fee, token FROM told")) {
                events.push_back({row.text(0), row.text(1), row.msat(2), row.msat(3), row.text(4)});
            }
            return events;
        });
        VERIFY(all.has_value());
        return *all;
    }
    static std::vector<Told> told(store::Database& database, const std::string& event) {
        auto events = told(database);
        std::erase_if(events, [&](const Told& item) { return item.event != event; });
        return events;
    }

    void refuse(bool refuse) { refuses_ = refuse; }

    using Answer = Result<void, cashu::SettlerRefusal>;
    Answer received(store::Tx& tx, const Received& r) override {
        return note(tx, "received", r.reference, r.credited, r.fee, "");
    }
    Answer receive_failed(store::Tx& tx, std::string_view reference,
                          const cashu::WalletError&) override {
        return note(tx, "receive_failed", reference, {}, {}, "");
    }
    Answer sent(store::Tx& tx, const Sent& s) override {
        return note(tx, "sent", s.reference, s.amount, s.fee, s.token);
    }
    Answer send_failed(store::Tx& tx, std::string_view reference,
                       const cashu::WalletError&) override {
        return note(tx, "send_failed", reference, {}, {}, "");
    }
    Answer issued(store::Tx& tx, const Issued& i) override {
        return note(tx, "issued", i.payment.hex(), i.amount, {}, "");
    }
    Answer offer_issued(store::Tx& tx, const OfferIssued& i) override {
        return note(tx, "offer_issued", i.offer.hex(), i.amount, {}, i.operation.hex());
    }
    Answer melted(store::Tx& tx, const Melted& m) override {
        return note(tx, m.inputs == Inputs::Ours ? "melted" : "token_melted", m.reference, m.amount,
                    m.fee, m.preimage ? m.preimage->hex() : "");
    }
    Answer melt_failed(store::Tx& tx, std::string_view reference,
                       const cashu::WalletError&) override {
        return note(tx, "melt_failed", reference, {}, {}, "");
    }
    Answer funded(store::Tx& tx, const Funded& f) override {
        return note(tx, "funded", f.reference, f.amount, f.fee, f.backend);
    }
    Answer fund_failed(store::Tx& tx, std::string_view reference,
                       const cashu::WalletError&) override {
        return note(tx, "fund_failed", reference, {}, {}, "");
    }
    Answer consolidated(store::Tx& tx, const Consolidated& c) override {
        return note(tx, "consolidated", c.operation.hex(), {}, c.fee, "");
    }
    Answer restored(store::Tx& tx, const Restored& r) override {
        return note(tx, "restored", r.reference, r.amount, {}, "");
    }
    Answer lost(store::Tx& tx, const Lost& l) override {
        return note(tx, "lost", l.operation.hex(), l.amount, {}, "");
    }

private:
    Answer note(store::Tx& tx, std::string_view event, std::string_view reference, Msat amount,
                Msat fee, std::string_view token) {
        if (refuses_) return fail(cashu::SettlerRefusal{"the books are closed"});
        tx.execute(
            "INSERT INTO told (event, reference, amount, fee, token) VALUES ($1, $2, $3, $4, "
            "$5)",
            event, reference, amount, fee, token);
        return {};
    }

    std::atomic<bool> refuses_ = false;
};

}  // namespace nutgate::test
