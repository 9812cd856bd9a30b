@shop
Feature: Shop
  What a customer does.

  Background:
    Given a customer

  @smoke
  Scenario: Buys something
    When the customer buys an apple
    Then the basket holds 1 articles

  Scenario Outline: Buys a number of things
    When the customer buys <number> pears
    Then the basket holds <held> articles

    Examples:
      | number | held |
      | 1      | 1    |
      | 2      | 3    |

  Scenario: Breaks in the middle
    When the shop breaks
    Then the basket holds 0 articles
