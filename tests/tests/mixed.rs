//! Every scenario over real sockets, with clients on both runtimes in turn, so that messages and files cross
//! between them.

mod around_std {
    //! The first client, who sends the files, is on `smol`.
    toom_tests::play_all_scenarios!(toom_tests::real::RealWorld::new(toom_tests::real::Runtimes::MIXED_AROUND_STD));
}

mod around_smol {
    //! The first client, who sends the files, is on blocking threads.
    toom_tests::play_all_scenarios!(toom_tests::real::RealWorld::new(toom_tests::real::Runtimes::MIXED_AROUND_SMOL));
}
