// Questions about proofs and outputs: NUT-07, NUT-09.
#include "mint/impl.h"

namespace nutgate::cashu {

Answered Mint::Impl::check_state(std::string_view body) {
    TRY(const auto ys, taken(wire::parse_check_state_request(body)));
    if (ys.size() > options.inputs_max) {
        return fail(
            MintError{MintCode::TooManyInputs, "at most " + std::to_string(options.inputs_max)});
    }
    TRY(const auto states,
        database.read([&](store::Reader& reader)
                          -> Result<std::vector<wire::StateOfProof>, store::StoreFailure> {
            std::vector<wire::StateOfProof> result;
            for (const crypto::Point& y : ys) {
                const auto bytes = y.compressed();
                const auto row = reader.query_one(
                    "SELECT state, witness FROM mint_proofs WHERE y = $1", BytesView{bytes});
                wire::StateOfProof state{y, wire::ProofState::Unspent, std::nullopt};
                if (row && row->integer(0) == static_cast<int>(StoredProof::Pending)) {
                    state.state = wire::ProofState::Pending;
                } else if (row) {
                    state.state = wire::ProofState::Spent;
                    // Shown once nothing can come of it any more.
                    if (!row->is_null(1)) state.witness = row->text(1);
                }
                result.push_back(std::move(state));
            }
            return result;
        }));
    return wire::write_check_state_response(states);
}

BlindSignature read_signature(const store::Row& row, std::size_t column) {
    const auto id = KeysetId::parse(row.text(column + 1));
    const auto c = crypto::Point::from_bytes(row.bytes(column + 2));
    VERIFY(id && c);
    Dleq dleq;
    const auto e = row.bytes(column + 3);
    const auto s = row.bytes(column + 4);
    VERIFY(e.size() == dleq.e.size() && s.size() == dleq.s.size());
    std::ranges::copy(e, dleq.e.begin());
    std::ranges::copy(s, dleq.s.begin());
    return {static_cast<Amount>(row.integer(column)), *id, *c, dleq};
}

Answered Mint::Impl::restore(std::string_view body) {
    TRY(const auto outputs, taken(wire::parse_restore_request(body)));
    if (outputs.size() > options.outputs_max) {
        return fail(
            MintError{MintCode::TooManyOutputs, "at most " + std::to_string(options.outputs_max)});
    }
    TRY(const auto response,
        database.read(
            [&](store::Reader& reader) -> Result<wire::RestoreResponse, store::StoreFailure> {
                wire::RestoreResponse result;
                for (const BlindedMessage& output : outputs) {
                    const auto bytes = output.B_.compressed();
                    // A blank that no change was signed on is not signed: it is not known yet.
                    const auto row = reader.query_one(
                        "SELECT amount, keyset, c, e, s FROM mint_signatures "
                        "WHERE b = $1 AND c IS NOT NULL",
                        BytesView{bytes});
                    if (!row) continue;
                    result.signatures.push_back(read_signature(*row, 0));
                    // Amount and keyset are what was signed, whatever was asked with.
                    result.outputs.push_back(
                        {result.signatures.back().amount, result.signatures.back().id, output.B_});
                }
                return result;
            }));
    return wire::write_restore_response(response);
}

}  // namespace nutgate::cashu
