#include "mint/impl.h"

namespace nutgate::cashu {

Answered Mint::Impl::swap(const RequestKey& key, std::string_view body) {
    TRY(const auto request, taken(wire::parse_swap_request(body)));
    TRY(const auto outputs, exchange.check(request.outputs, OutputKind::Valued));
    TRY(const auto inputs, exchange.check(request.inputs));
    if (inputs.unit != outputs.unit) {
        return fail(MintError{MintCode::UnitsDiffer, "inputs and outputs are of different units"});
    }
    const auto due = add(outputs.sum, inputs.fee);
    if (!due || *due != inputs.sum) {
        return fail(MintError{MintCode::Unbalanced, "inputs " + std::to_string(inputs.sum) +
                                                        " - fee " + std::to_string(inputs.fee) +
                                                        " are not outputs " +
                                                        std::to_string(outputs.sum)});
    }

    const auto signatures = exchange.sign(request.outputs);
    const auto lines = Exchange::lines(inputs, signatures, inputs.unit);
    const nutgate::Msat fee = msat_of(inputs.fee, inputs.unit);
    const std::string answer = wire::write_signatures(signatures);
    const std::string reference = to_hex(key);
    const Time now = clock.now();
    const auto write_down = [&](store::Tx& tx) -> Result<void, MintError> {
        TRY_VOID(Exchange::store_inputs(tx, inputs, StoredProof::Spent, std::nullopt, now));
        TRY_VOID(Exchange::store_signatures(tx, request.outputs, signatures, std::nullopt, now));
        books.swapped(tx, reference, lines, fee);
        keep_answer(tx, key, answer, now);
        return {};
    };
    TRY_VOID(database.transact(write_down));
    return answer;
}

}  // namespace nutgate::cashu
